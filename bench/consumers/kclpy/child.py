"""The record processor of the comparisons, on amazon_kclpy: it counts, and checkpoints after each batch."""

import os
import struct
import time

from amazon_kclpy import kcl
from amazon_kclpy.v3 import processor


class Counter(processor.RecordProcessorBase):
    def initialize(self, initialize_input):
        name = "%s.%d" % (initialize_input.shard_id, os.getpid())
        self.file = os.open(os.path.join(os.environ["KCL_BENCH_DIR"], name), os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        self.records = self.bytes = self.first = 0

    def process_records(self, process_records_input):
        now = time.time_ns()
        self.first = self.first or now
        self.records += len(process_records_input.records)
        self.bytes += sum(len(r.binary_data) for r in process_records_input.records)
        os.pwrite(self.file, struct.pack("<4q", self.records, self.bytes, self.first, now), 0)
        process_records_input.checkpointer.checkpoint()

    def lease_lost(self, lease_lost_input):
        pass

    def shard_ended(self, shard_ended_input):
        shard_ended_input.checkpointer.checkpoint()

    def shutdown_requested(self, shutdown_requested_input):
        shutdown_requested_input.checkpointer.checkpoint()


if __name__ == "__main__":
    kcl.KCLProcess(Counter()).run()
