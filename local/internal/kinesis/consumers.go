package kinesis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kinesis-go/kcl/local/internal/awserr"
	"github.com/kinesis-go/kcl/local/internal/awswire"
)

const consumersPerStream = 20

// consumer is one registered consumer of a stream.
type consumer struct {
	name, arn string
	created   time.Time
	activeAt  time.Time
	gone      chan struct{} // closed when it is deregistered

	mu   sync.Mutex               // guards what follows
	subs map[string]*subscription // by shard ID, the latest
	tags map[string]string
}

func (c *consumer) state(now time.Time) string {
	if now.Before(c.activeAt) {
		return stateCreating
	}
	return stateActive
}

func (c *consumer) changeTags(f func(map[string]string)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.tags)
	return nil
}

type wireConsumer struct {
	ConsumerName              string
	ConsumerARN               string
	ConsumerStatus            string
	ConsumerCreationTimestamp awswire.Time
	StreamARN                 string `json:",omitempty"`
}

func (c *consumer) wire() wireConsumer {
	return wireConsumer{c.name, c.arn, c.state(time.Now()), awswire.At(c.created), ""}
}

type consumerInput struct {
	StreamARN    string
	ConsumerName string
	ConsumerARN  string
	Tags         map[string]string
}

type registerOutput struct{ Consumer wireConsumer }

func (e *Engine) registerConsumer(in *consumerInput) (*registerOutput, error) {
	var bad problems
	bad.requiredName("consumerName", in.ConsumerName)
	if in.StreamARN == "" {
		bad.missing("streamARN")
	}
	checkTags(&bad, in.Tags)
	if err := bad.err(); err != nil {
		return nil, err
	}
	s, err := e.listable(target{StreamARN: in.StreamARN})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.consumers[in.ConsumerName] != nil {
		return nil, awserr.New("ResourceInUseException", "Consumer %s under stream %s already exists for account %s.",
			in.ConsumerName, s.name, e.o.AccountID)
	}
	if len(s.consumers) >= consumersPerStream {
		return nil, awserr.New("LimitExceededException", "Stream %s under account %s has reached the limit of %d registered consumers.",
			s.name, e.o.AccountID, consumersPerStream)
	}
	now := time.Now()
	s.lastConsumer = max(now.Unix(), s.lastConsumer+1) // an ARN is never used twice
	c := &consumer{
		name: in.ConsumerName, arn: fmt.Sprintf("%s/consumer/%s:%d", s.arn, in.ConsumerName, s.lastConsumer),
		created: time.Unix(s.lastConsumer, 0), activeAt: now.Add(e.o.CreateDelay), gone: make(chan struct{}),
		subs: map[string]*subscription{}, tags: map[string]string{},
	}
	maps.Copy(c.tags, in.Tags)
	s.consumers[in.ConsumerName] = c
	return &registerOutput{c.wire()}, nil
}

// consumer returns the consumer with the given ARN and its stream.
func (e *Engine) consumer(arn string) (*stream, *consumer, error) {
	name, part, err := e.parseARN(arn)
	if err != nil {
		return nil, nil, err
	}
	s, err := e.named(name)
	if err != nil {
		return nil, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	consumerName, _, _ := strings.Cut(part, ":")
	c := s.consumers[consumerName]
	if c == nil || c.arn != arn {
		return nil, nil, notFound("Consumer with ARN %s under account %s not found.", arn, e.o.AccountID)
	}
	return s, c, nil
}

// registered returns the consumer that in names by its ARN, or by the stream's ARN and its name.
func (e *Engine) registered(in *consumerInput) (*stream, *consumer, error) {
	var bad problems
	bad.name("consumerName", in.ConsumerName)
	if err := bad.err(); err != nil {
		return nil, nil, err
	}
	if in.ConsumerARN != "" {
		s, c, err := e.consumer(in.ConsumerARN)
		if err == nil && (in.ConsumerName != "" && in.ConsumerName != c.name || in.StreamARN != "" && in.StreamARN != s.arn) {
			return nil, nil, invalid("ConsumerARN %s does not belong to ConsumerName %s of stream %s.", in.ConsumerARN, in.ConsumerName, in.StreamARN)
		}
		return s, c, err
	}
	if in.StreamARN == "" || in.ConsumerName == "" {
		return nil, nil, invalid("Either ConsumerARN, or StreamARN with ConsumerName, must be provided.")
	}
	s, err := e.find(target{StreamARN: in.StreamARN})
	if err != nil {
		return nil, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.consumers[in.ConsumerName]
	if c == nil {
		return nil, nil, notFound("Consumer %s under stream %s under account %s not found.", in.ConsumerName, s.name, e.o.AccountID)
	}
	return s, c, nil
}

type describeConsumerOutput struct{ ConsumerDescription wireConsumer }

func (e *Engine) describeConsumer(in *consumerInput) (*describeConsumerOutput, error) {
	s, c, err := e.registered(in)
	if err != nil {
		return nil, err
	}
	w := c.wire()
	w.StreamARN = s.arn
	return &describeConsumerOutput{w}, nil
}

func (e *Engine) deregisterConsumer(in *consumerInput) (*none, error) {
	s, c, err := e.registered(in)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.consumers[c.name] == c {
		delete(s.consumers, c.name)
		close(c.gone)
	}
	return nil, nil
}

type listConsumersInput struct {
	StreamARN               string
	StreamCreationTimestamp *awswire.Time
	NextToken               string
	MaxResults              *int
}

type listConsumersOutput struct {
	Consumers []wireConsumer
	NextToken string `json:",omitempty"`
}

func (e *Engine) listConsumers(in *listConsumersInput) (*listConsumersOutput, error) {
	const normal, most = 100, 10000
	var bad problems
	bad.within("maxResults", in.MaxResults, 1, most)
	if in.StreamARN == "" {
		bad.missing("streamARN")
	}
	if err := bad.err(); err != nil {
		return nil, err
	}
	s, err := e.listable(target{StreamARN: in.StreamARN})
	if err != nil {
		return nil, err
	}
	var from listToken
	if in.NextToken != "" {
		if from, err = e.parseToken(in.NextToken); err != nil {
			return nil, err
		}
	}
	s.mu.RLock()
	all := slices.Collect(maps.Values(s.consumers))
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b *consumer) int { return cmp.Compare(a.name, b.name) })
	all = slices.DeleteFunc(all, func(c *consumer) bool { return c.name <= from.After })
	page, more := pageOf(all, in.MaxResults, normal)
	out := &listConsumersOutput{Consumers: []wireConsumer{}}
	for _, c := range page {
		out.Consumers = append(out.Consumers, c.wire())
	}
	if more {
		out.NextToken = listToken{Stream: s.name, Birth: s.birth, After: page[len(page)-1].name, Issued: time.Now().UnixMilli()}.encode()
	}
	return out, nil
}
