package worker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Test81DeletedStreamEndsTheWorker: a worker whose only stream is deleted says so and ends; its shards do not count as finished.
func Test81DeletedStreamEndsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		w := r.start(r.config("a"))
		records := r.put("orders", "r", 20)
		r.await(3*time.Second, "the records", func() bool { return r.seen.missing(records) == 0 })
		_, err := r.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders")})
		r.must(err)
		select {
		case <-w.done:
		case <-time.After(2 * time.Minute):
			t.Fatal("the worker goes on")
		}
		if w.err == nil || !strings.Contains(w.err.Error(), "the stream does not exist: it was deleted, or its name, region or account is wrong") {
			t.Errorf("Run = %v", w.err)
		}
		for _, key := range []string{"shardId-000000000000", "shardId-000000000001"} {
			if l := r.lease(key); l.Ended() || l.Owner != "" {
				t.Errorf("lease %+v", l)
			}
		}
	})
}

// Test81DeletedStreamAmongSeveral: the other stream goes on, and health names what is gone.
func Test81DeletedStreamAmongSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, "orders", "returns")
		cfg := r.config("a")
		cfg.Streams = []string{"orders", "returns"}
		w := r.start(cfg)
		r.await(3*time.Second, "both are read", func() bool { return len(w.Status().Shards) == 2 })
		_, err := r.client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("returns")})
		r.must(err)
		r.await(2*time.Minute, "health names it", func() bool {
			for _, p := range w.Status().Problems {
				if p.Stream == "returns" && strings.Contains(p.What, "does not exist") {
					return true
				}
			}
			return false
		})
		records := r.put("orders", "o", 20)
		r.await(3*time.Second, "the other stream's records", func() bool { return r.seen.missing(records) == 0 })
		r.must(w.stop())
	})
}
