package memlease_test

import (
	"testing"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/leasetest"
	"github.com/kinesis-go/kcl/lease/memlease"
)

func TestStore(t *testing.T) {
	leasetest.Run(t, func(*testing.T) lease.Store { return memlease.New() })
}
