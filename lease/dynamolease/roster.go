package dynamolease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/kinesis-go/kcl/internal/retry"
	"github.com/kinesis-go/kcl/lease"
)

// The attributes of a worker's report, as the Java KCL's WorkerMetricStats names them.
const (
	attrReported = "lut" // epoch seconds
	attrStats    = "sts"
	attrLimits   = "opr" // each metric has a list of one value
)

// Report implements [lease.Roster]. It says, too, that this worker understands the single-table format.
func (s *Store) Report(ctx context.Context, w lease.Worker) error {
	if w.ID == "" || w.ReportedAt.IsZero() {
		return fmt.Errorf("report of worker %q at %v: needs a name and a time", w.ID, w.ReportedAt)
	}
	stats, limits, err := metricsOf(w)
	if err != nil {
		return err
	}
	lay, err := s.knownLayout(ctx)
	if err != nil {
		return err
	}
	to := s.workersPlace(lay)
	in := dynamodb.UpdateItemInput{
		TableName:        &to.table,
		Key:              item{to.key: text(w.ID)},
		UpdateExpression: aws.String("SET entityType = :e, lut = :t, sts = :s, opr = :o, sup = :1, slu = :t"),
		ExpressionAttributeValues: item{
			":e": text(entityWorker), ":t": number(w.ReportedAt.Unix()), ":s": stats, ":o": limits, ":1": number(1),
		},
	}
	if to.table == s.cfg.Table { // where a worker's name could be the key of a lease
		in.ConditionExpression = aws.String("attribute_not_exists(leaseKey) OR entityType = :e")
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err = s.cfg.Client.UpdateItem(ctx, &in, oneAttempt)
	if retry.Classify(err) == retry.Conditional {
		return unusable("UpdateItem", to.table, fmt.Sprintf("the worker's name %q is the key of another item; choose another", w.ID), err)
	}
	if err != nil {
		return fmt.Errorf("report of worker %s: %w", w.ID, explain("UpdateItem", to.table, err))
	}
	return nil
}

// metricsOf returns sts and opr. A metric without values is left out: an empty list makes a Java leader reject the worker.
func metricsOf(w lease.Worker) (stats, limits types.AttributeValue, err error) {
	sts, opr := make(item, len(w.Stats)), make(item, len(w.Limits))
	for metric, values := range w.Stats {
		list := make([]types.AttributeValue, len(values))
		for i, v := range values {
			if list[i], err = metric64(v); err != nil {
				return nil, nil, fmt.Errorf("report of worker %s: metric %s: %w", w.ID, metric, err)
			}
		}
		if len(list) > 0 {
			sts[metric] = &types.AttributeValueMemberL{Value: list}
		}
	}
	for metric, v := range w.Limits {
		limit, err := metric64(v)
		if err != nil {
			return nil, nil, fmt.Errorf("report of worker %s: limit of metric %s: %w", w.ID, metric, err)
		}
		opr[metric] = &types.AttributeValueMemberL{Value: []types.AttributeValue{limit}}
	}
	return &types.AttributeValueMemberM{Value: sts}, &types.AttributeValueMemberM{Value: opr}, nil
}

// metric64 is a percentage with six decimals, as the Java KCL's reporter rounds it.
func metric64(v float64) (types.AttributeValue, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fmt.Errorf("%v is no percentage", v)
	}
	return &types.AttributeValueMemberN{Value: strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)}, nil
}

// Forget implements [lease.Roster].
func (s *Store) Forget(ctx context.Context, w lease.Worker) error {
	lay, err := s.knownLayout(ctx)
	if err != nil {
		return err
	}
	places := []place{leasePlace(s.cfg.Table)}
	if lay.live != complete {
		places = append(places, s.legacyWorkers())
	}
	var errs []error
	for _, p := range places {
		errs = append(errs, s.forgetIn(ctx, p, w))
	}
	return errors.Join(errs...)
}

func (s *Store) forgetIn(ctx context.Context, p place, w lease.Worker) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err := s.cfg.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &p.table,
		Key:                       item{p.key: text(w.ID)},
		ConditionExpression:       aws.String("lut = :t AND attribute_exists(" + p.key + ")"),
		ExpressionAttributeValues: item{":t": number(w.ReportedAt.Unix())},
	}, oneAttempt)
	if err == nil || retry.Classify(err) == retry.Conditional {
		return nil
	}
	return fmt.Errorf("forget worker %s: %w", w.ID, explain("DeleteItem", p.table, err))
}

// parseWorker reads a report; on an error the result has at most the worker's ID.
func parseWorker(it item, key string) (lease.Worker, error) {
	r := row{what: "worker", item: it}
	r.key = r.text(key)
	r.require(key)
	r.require(attrReported)
	w := lease.Worker{ID: r.key, ReportedAt: time.Unix(r.number(attrReported), 0)}
	w.Stats = r.metrics(attrStats)
	limits := r.metrics(attrLimits)
	w.Limits = make(map[string]float64, len(limits))
	for metric, values := range limits {
		if len(values) > 0 {
			w.Limits[metric] = values[0]
		}
	}
	if r.err != nil {
		return lease.Worker{ID: r.key}, r.err
	}
	return w, nil
}

// metrics returns a map of lists of numbers; empty if the attribute is absent.
func (r *row) metrics(attr string) map[string][]float64 {
	m, ok := r.item[attr].(*types.AttributeValueMemberM)
	if !ok {
		if other := r.item[attr]; other != nil {
			r.wrongType(attr, "M", other)
		}
		return nil
	}
	metrics := make(map[string][]float64, len(m.Value))
	for name, v := range m.Value {
		list, ok := v.(*types.AttributeValueMemberL)
		if !ok {
			r.wrongType(attr+"."+name, "L", v)
			continue
		}
		values := make([]float64, len(list.Value))
		for i, v := range list.Value {
			n, ok := v.(*types.AttributeValueMemberN)
			if !ok {
				r.wrongType(fmt.Sprintf("%s.%s[%d]", attr, name, i), "N", v)
				continue
			}
			f, err := strconv.ParseFloat(n.Value, 64)
			if err != nil {
				r.bad(fmt.Sprintf("%s.%s[%d]", attr, name, i), "is %s, not a number", n.Value)
			}
			values[i] = f
		}
		metrics[name] = values
	}
	return metrics
}
