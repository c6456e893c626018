'use strict';
// The smallest consumer on the API of aws-kcl: what the basic sample of its repository does (checkpoint at the last record
// of each batch, and at the end), with a Delivery line (see stagetest) for each record. The npm package holds no sample.
// Where it finds a file named crash in its folder, it removes it and dies when it has written the lines of a batch.
const fs = require('fs');
const path = require('path');
const kcl = require('aws-kcl');

function crash(dir) {
  try {
    fs.unlinkSync(path.join(dir, 'crash'));
  } catch {
    return; // there is none, or another shard's process was faster
  }
  process.exit(9);
}

function recordProcessor(dir) {
  let shard, out;
  const end = (input, done) => input.checkpointer.checkpoint((err) => {
    if (err) {
      process.stderr.write(`checkpoint at the end: ${err}\n`);
    }
    done();
  });
  return {
    initialize(input, done) {
      shard = input.shardId;
      out = fs.openSync(path.join(dir, `${shard}-${process.hrtime.bigint()}-${process.pid}.jsonl`), 'w');
      done();
    },
    processRecords(input, done) {
      console.log('beside the protocol');
      if (input.records.length === 0) {
        done();
        return;
      }
      fs.writeSync(out, input.records.map((r) => JSON.stringify({
        shard, seq: r.sequenceNumber, key: r.partitionKey, data: r.data, at: Date.now(),
      }) + '\n').join(''));
      crash(dir);
      input.checkpointer.checkpoint(input.records.at(-1).sequenceNumber, (err) => {
        if (err) {
          process.stderr.write(`checkpoint: ${err}\n`);
        }
        done();
      });
    },
    leaseLost(input, done) {
      process.stderr.write('lease lost\n');
      done();
    },
    shardEnded(input, done) {
      process.stderr.write('shard ended\n');
      end(input, done);
    },
    shutdownRequested(input, done) {
      process.stderr.write('shutdown requested\n');
      end(input, done);
    },
  };
}

kcl(recordProcessor(process.argv[2])).run();
