package kinesis

import (
	"slices"
	"strconv"
)

type monitoringInput struct {
	target
	ShardLevelMetrics []string
}

type monitoringOutput struct {
	StreamName               string
	StreamARN                string
	CurrentShardLevelMetrics []string
	DesiredShardLevelMetrics []string
}

func shardMetrics() []string {
	return []string{"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords",
		"WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds"}
}

func (e *Engine) enableMonitoring(in *monitoringInput) (*monitoringOutput, error) {
	return e.monitor(in, func(current, named []string) []string {
		current = slices.Concat(current, named)
		slices.Sort(current)
		return slices.Compact(current)
	})
}

func (e *Engine) disableMonitoring(in *monitoringInput) (*monitoringOutput, error) {
	return e.monitor(in, func(current, named []string) []string {
		return slices.DeleteFunc(slices.Clone(current), func(m string) bool { return slices.Contains(named, m) })
	})
}

func (e *Engine) monitor(in *monitoringInput, change func(current, named []string) []string) (*monitoringOutput, error) {
	var bad problems
	if len(in.ShardLevelMetrics) == 0 {
		bad.missing("shardLevelMetrics")
	}
	named := in.ShardLevelMetrics
	for i, m := range named {
		bad.oneOf("shardLevelMetrics."+strconv.Itoa(i+1)+".member", m, append(shardMetrics(), "ALL")...)
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	if slices.Contains(named, "ALL") {
		named = shardMetrics()
	}
	out := &monitoringOutput{}
	err := e.change(in.target, func(s *stream) error {
		out.StreamName, out.StreamARN = s.name, s.arn
		out.CurrentShardLevelMetrics = append([]string{}, s.metrics...)
		s.metrics = change(s.metrics, named)
		out.DesiredShardLevelMetrics = append([]string{}, s.metrics...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
