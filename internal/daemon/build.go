package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/kinesis-go/kcl/lease"
	"github.com/kinesis-go/kcl/lease/dynamolease"
	"github.com/kinesis-go/kcl/multilang"
	"github.com/kinesis-go/kcl/worker"
)

// Leases returns the configuration of the lease store.
func (s *Settings) Leases(client *dynamodb.Client, log *slog.Logger) dynamolease.Config {
	return dynamolease.Config{
		Client: client, Application: s.Application, Table: s.Table,
		CoordinatorTable: s.CoordinatorTable, WorkerMetricsTable: s.WorkerMetricsTable,
		DeletionProtection: s.DeletionProtection, PointInTimeRecovery: s.PITR, SingleTable: s.SingleTable,
		Segments: s.ScanSegments, Logger: log,
	}
}

// Command returns how to start the child of a shard.
func (s *Settings) Command(log *slog.Logger) multilang.Command {
	words, _ := s.command() // checked by Load
	return multilang.Command{Path: words[0], Args: words[1:], ReplyTimeout: s.ReplyTimeout, Logger: log}
}

// Worker returns the configuration of a worker that runs the children.
func (s *Settings) Worker(client *kinesis.Client, store lease.Store, log *slog.Logger) worker.Config {
	name := s.StreamName
	if s.StreamARN != "" {
		name = s.StreamARN
	}
	return worker.Config{
		Application: s.Application, Streams: []string{name}, ID: s.WorkerID,
		NewProcessor: s.Command(log).NewProcessor, Kinesis: client, Leases: store,
		Start: s.Start, StartAt: s.StartAt,
		LeaseDuration: s.Failover, DrainTimeout: s.ShutdownGrace, HandoffTimeout: s.HandoffTimeout,
		Reading: s.reading(),
		Balance: worker.Balance{
			MaxLeases: s.MaxLeases, MaxThroughput: s.MaxThroughput, Threshold: s.Threshold, Damping: s.Damping,
			NoOvershoot: s.NoOvershoot, NoHandoff: s.NoHandoff,
		},
		EmptyBatches: s.EmptyBatches, KeepEndedLeases: s.KeepEndedLeases, SlowAfter: s.SlowAfter,
		OnFailure: s.OnFailure, Logger: log,
	}
}

// reading says how to read: by fan-out unless the file selects polling.
func (s *Settings) reading() worker.Reading {
	r := worker.Reading{MaxRecords: s.MaxRecords, Idle: s.Idle, Unpaced: s.Unpaced}
	if s.Retrieval != FanOutRetrieval {
		return r
	}
	r.FanOut = &worker.FanOut{ConsumerName: s.FanOut.ConsumerName, Required: s.required}
	if s.FanOut.ConsumerARN != "" {
		r.FanOut.ConsumerARNs = []string{s.FanOut.ConsumerARN}
	}
	return r
}

// command splits executableName: at runs of the space character alone, as the Java daemon does, or with executableQuoting also
// honouring single and double quotes.
func (s *Settings) command() ([]string, error) {
	words := strings.FieldsFunc(s.Executable, func(r rune) bool { return r == ' ' })
	if s.Quoting {
		var err error
		if words, err = quoted(s.Executable); err != nil {
			return nil, err
		}
	}
	if len(words) == 0 && s.Executable != "" {
		return nil, errors.New("holds no command")
	}
	return words, nil
}

// quoted splits at blanks outside quotes. There are no escapes.
func quoted(s string) (words []string, err error) {
	var word strings.Builder
	var quote rune
	inside := false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inside = r, true
		case r == ' ' && inside:
			words, inside = append(words, word.String()), false
			word.Reset()
		case r == ' ':
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("has a quote %c that is not closed", quote)
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

// Describe returns the effective settings, a line each as name and value, without secrets.
func (s *Settings) Describe() [][2]string {
	lines := [][2]string{
		{"application", s.Application}, {"stream", first(s.StreamARN, s.StreamName)}, {"lease table", first(s.Table, s.Application)},
		{"worker", first(s.WorkerID, "(a random id)")}, {"child", s.Executable}, {"region", first(s.Region, "(from the environment)")},
		{"start", s.Start.String()}, {"retrieval", string(s.Retrieval)}, {"on processor failure", failure(s.OnFailure)},
		{"shutdown grace", s.ShutdownGrace.String()},
	}
	if !s.StartAt.IsZero() {
		lines = append(lines, [2]string{"start at", s.StartAt.UTC().Format("2006-01-02T15:04:05Z")})
	}
	for _, e := range [][2]string{{"kinesis endpoint", first(s.Kinesis.Endpoint, s.KinesisEndpoint)}, {"dynamodb endpoint", first(s.DynamoDB.Endpoint, s.DynamoDBEndpoint)}} {
		if e[1] != "" {
			lines = append(lines, e)
		}
	}
	var names []string
	for _, p := range s.Kinesis.Credentials {
		names = append(names, p.Name) // the arguments may be telling
	}
	return append(lines, [2]string{"credentials", strings.Join(names, ", ")})
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func failure(p worker.FailurePolicy) string {
	if p == worker.RestartShard {
		return "restart the shard"
	}
	return "exit"
}
