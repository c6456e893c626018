#!/usr/bin/env python3
"""The sample application of amazon_kclpy, unchanged but for one thing: it writes a Delivery line (see stagetest) for each record.

It also prints to stdout, beside the protocol, once a batch; and where it finds a file named crash in its folder, it removes it
and dies in the midst of a batch.
"""
import base64
import json
import os
import sys
import time

from amazon_kclpy import kcl
from samples import sample_kclpy_app


class RecordProcessor(sample_kclpy_app.RecordProcessor):
    def __init__(self):
        super().__init__()
        self._CHECKPOINT_FREQ_SECONDS = 0.2

    def initialize(self, initialize_input):
        super().initialize(initialize_input)
        self._shard = initialize_input.shard_id
        self._crash = os.path.join(sys.argv[1], "crash")
        name = "%s-%d-%d.jsonl" % (self._shard, time.time_ns(), os.getpid())
        self._out = open(os.path.join(sys.argv[1], name), "w", encoding="utf-8")

    def process_records(self, process_records_input):
        print("beside the protocol", end="")
        super().process_records(process_records_input)
        self._out.flush()

    def process_record(self, data, partition_key, sequence_number, sub_sequence_number):
        json.dump({
            "shard": self._shard, "seq": str(sequence_number), "key": partition_key,
            "data": base64.b64encode(data).decode("ascii"), "at": time.time_ns() // 1_000_000,
        }, self._out)
        self._out.write("\n")
        if os.path.exists(self._crash):
            try:
                os.remove(self._crash)
            except FileNotFoundError:
                return  # another shard's process was faster
            self._out.flush()
            os._exit(9)

    def checkpoint(self, checkpointer, sequence_number=None, sub_sequence_number=None):
        self._out.flush()
        super().checkpoint(checkpointer, sequence_number, sub_sequence_number)

    def shard_ended(self, shard_ended_input):
        self._out.flush()
        super().shard_ended(shard_ended_input)

    def shutdown_requested(self, shutdown_requested_input):
        self._out.flush()
        super().shutdown_requested(shutdown_requested_input)


if __name__ == "__main__":
    kcl.KCLProcess(RecordProcessor()).run()
