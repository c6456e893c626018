package decode

import "github.com/kinesis-go/kcl/stream"

// scanner is what the formats have in common, for what is too rare to be written for each. What it holds lives on the heap.
type scanner interface {
	object(member func(name []byte) error) error
	array(element func() error) error
	textOrNull() ([]byte, error)
	skip(depth int) error
	fail(format string, args ...any) error
}

// childShards reads the shards that follow one that has ended.
func childShards(s scanner) (children []Child, err error) {
	err = s.array(func() error {
		c, err := child(s)
		children = append(children, c)
		return err
	})
	return children, err
}

func child(s scanner) (c Child, err error) {
	err = s.object(func(name []byte) (err error) {
		var id []byte
		switch string(name) {
		case "ShardId":
			id, err = s.textOrNull()
			c.ID = stream.ShardID(id)
		case "ParentShards":
			c.Parents = nil
			err = s.array(func() error {
				id, err := s.textOrNull()
				c.Parents = append(c.Parents, stream.ShardID(id))
				return err
			})
		case "HashKeyRange":
			c.HashKeys, err = hashKeyRange(s)
		default:
			err = s.skip(4)
		}
		return err
	})
	return c, err
}

func hashKeyRange(s scanner) (stream.HashKeyRange, error) {
	var starting, ending []byte
	err := s.object(func(name []byte) (err error) {
		switch string(name) {
		case "StartingHashKey":
			starting, err = s.textOrNull()
		case "EndingHashKey":
			ending, err = s.textOrNull()
		default:
			err = s.skip(5)
		}
		return err
	})
	if err != nil {
		return stream.HashKeyRange{}, err
	}
	keys, err := stream.ParseHashKeyRange(string(starting), string(ending))
	if err != nil {
		return keys, s.fail("%v", err)
	}
	return keys, nil
}
