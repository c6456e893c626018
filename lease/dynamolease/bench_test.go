package dynamolease_test

import (
	"context"
	"testing"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/local"
	"github.com/kinesis-go/kcl/stream"
)

// What a renewal and a checkpoint cost on our side, the SDK's included; the server answers at once and does nothing.
func BenchmarkWrites(b *testing.B) {
	answered := &silent{}
	l := lease.Lease{
		Key: shard0, Shard: shard0, Owner: "A", Checkpoint: stream.Position{Sequence: "49590338271490256608559692538361571095921575989136588898"},
		HashKeys: stream.HashKeyRange{Last: stream.MaxHashKey},
	}
	s, err := dynamolease.New(dynamolease.Config{Client: clientOf(answered), Application: "app", Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	for name, write := range map[string]func(ctx context.Context) error{
		"renew":      func(ctx context.Context) error { return err2(s.Renew(ctx, l)) },
		"checkpoint": func(ctx context.Context) error { return err2(s.Checkpoint(ctx, l, l.Checkpoint)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := write(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// How many renewals package local serves.
func BenchmarkRenewOnLocal(b *testing.B) {
	srv := server(local.Config{})
	s, err := dynamolease.New(dynamolease.Config{Client: clientOf(srv.HTTPClient()), Application: "app", Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Setup(b.Context(), "A"); err != nil {
		b.Fatal(err)
	}
	l := lease.Lease{Key: shard0, Shard: shard0, Checkpoint: stream.Latest}
	if _, err := s.Create(b.Context(), l); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if l, err = s.Renew(b.Context(), l); err != nil {
			b.Fatal(err)
		}
	}
}
