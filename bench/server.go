package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/kinesis-go/kcl/local"
)

// server is the embedded services in a process of their own, so that what they use is not counted.
type server struct {
	cmd      *exec.Cmd
	endpoint string
	stream   string
	client   *kinesis.Client
}

func (f *field) serve(ctx context.Context, shards int) (*server, error) {
	s := &server{stream: "bench", cmd: exec.CommandContext(ctx, f.kcl, "local", "-addr", "127.0.0.1:0", "-json", "-stream", "bench:"+strconv.Itoa(shards))}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("kcl local: %w", err)
	}
	var ready struct{ Endpoint string }
	if err := json.Unmarshal(line, &ready); err != nil || ready.Endpoint == "" {
		s.stop()
		return nil, fmt.Errorf("kcl local said %q: %w", line, err)
	}
	s.endpoint = ready.Endpoint
	s.client = kinesis.NewFromConfig(local.New(local.Config{}).AWSConfigAt(s.endpoint))
	return s, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // killed
}

// fill puts n records, numbered keys, as fast as they are taken.
func (s *server) fill(ctx context.Context, n, size int) error {
	data := make([]byte, size)
	for i := range data {
		data[i] = "0123456789abcdef"[i%16]
	}
	for i := 0; i < n; {
		var batch []types.PutRecordsRequestEntry
		for bytes := 0; i < n && len(batch) < 500 && bytes+size < 4<<20; i, bytes = i+1, bytes+size {
			batch = append(batch, types.PutRecordsRequestEntry{Data: data, PartitionKey: aws.String("key-" + strconv.Itoa(i))})
		}
		out, err := s.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &s.stream, Records: batch})
		if err != nil {
			return fmt.Errorf("fill the stream: %w", err)
		}
		if aws.ToInt32(out.FailedRecordCount) > 0 {
			return fmt.Errorf("fill the stream: %d records refused", *out.FailedRecordCount)
		}
	}
	return nil
}
