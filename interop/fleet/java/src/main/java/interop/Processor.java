package interop;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.concurrent.atomic.AtomicInteger;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.KinesisClientLibDependencyException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.exceptions.ThrottlingException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/** Writes a line for each record into a file of this assignment, then checkpoints. */
final class Processor implements ShardRecordProcessor {
    private static final AtomicInteger ASSIGNMENTS = new AtomicInteger();

    private final Path dir;
    private final String worker;
    private String shard;
    private Writer out;

    Processor(Path dir, String worker) {
        this.dir = dir;
        this.worker = worker;
    }

    @Override
    public void initialize(InitializationInput input) {
        shard = input.shardId();
        Path file = dir.resolve(worker + "-" + ASSIGNMENTS.incrementAndGet() + "-" + shard + ".jsonl");
        try {
            out = Files.newBufferedWriter(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        System.err.println("worker begins " + shard + " at " + input.extendedSequenceNumber());
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        if (input.records().isEmpty()) {
            return;
        }
        try {
            long now = System.currentTimeMillis();
            for (KinesisClientRecord r : input.records()) {
                out.write(line(r, now));
            }
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        checkpoint(input.checkpointer());
    }

    private String line(KinesisClientRecord r, long now) {
        ByteBuffer data = r.data().duplicate();
        byte[] bytes = new byte[data.remaining()];
        data.get(bytes);
        return "{\"shard\":\"" + shard + "\",\"seq\":\"" + r.sequenceNumber() + "\",\"key\":\"" + r.partitionKey() // keys need no escape
                + "\",\"data\":\"" + Base64.getEncoder().encodeToString(bytes) + "\",\"at\":" + now + "}\n";
    }

    private void checkpoint(RecordProcessorCheckpointer checkpointer) {
        try {
            checkpointer.checkpoint();
        } catch (ShutdownException e) {
            System.err.println("worker may not checkpoint " + shard + " any more"); // the lease is lost: an outcome
        } catch (ThrottlingException | InvalidStateException | KinesisClientLibDependencyException e) {
            throw new IllegalStateException(e);
        }
    }

    private void end(String how) {
        System.err.println("worker ends " + shard + ": " + how);
        try {
            if (out != null) { // never begun, while it waited for its parents
                out.close();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        end("lease lost");
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        checkpoint(input.checkpointer());
        end("shard ended");
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        checkpoint(input.checkpointer());
        System.err.println("worker hands over " + shard);
    }
}
