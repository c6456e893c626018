package local

import (
	"fmt"
	"time"
)

// Record is one record of a stream as the server holds it.
type Record struct {
	Shard        string // ID
	Sequence     string // sequence number
	PartitionKey string
	Data         []byte
	Arrived      time.Time
}

// CreateStream creates a provisioned stream without going through HTTP. Rules do not see it.
func (s *Server) CreateStream(name string, shards int) error {
	if err := s.kinesis.CreateShards(name, shards); err != nil {
		return fmt.Errorf("create stream %s: %w", name, err)
	}
	return nil
}

// Put puts one record without going through HTTP. Rules do not see it; limits hold. The data is copied.
func (s *Server) Put(stream, partitionKey string, data []byte) (shard, sequence string, err error) {
	shard, sequence, err = s.kinesis.Put(stream, partitionKey, data)
	if err != nil {
		return "", "", fmt.Errorf("put into stream %s: %w", stream, err)
	}
	return shard, sequence, nil
}

// Records returns a copy of everything that a stream still holds: its shards by ID, and the records of each in order.
func (s *Server) Records(stream string) ([]Record, error) {
	held, err := s.kinesis.Records(stream)
	if err != nil {
		return nil, fmt.Errorf("look into stream %s: %w", stream, err)
	}
	out := make([]Record, 0, len(held))
	for _, r := range held {
		out = append(out, Record(r))
	}
	return out, nil
}
