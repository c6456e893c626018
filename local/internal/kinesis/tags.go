package kinesis

import (
	"maps"
	"slices"
	"unicode/utf8"
)

const (
	tagsPerStream  = 50
	longestTagKey  = 128
	longestTag     = 256
	defaultTagPage = 50
)

func checkTags(bad *problems, tags map[string]string) {
	for key, value := range tags {
		if n := utf8.RuneCountInString(key); n < 1 || n > longestTagKey {
			bad.add(key, "tags", "Map keys must have length between 1 and 128")
		}
		if utf8.RuneCountInString(value) > longestTag {
			bad.add(value, "tags", "Map values must have length less than or equal to 256")
		}
	}
}

func (e *Engine) setTags(t target, tags map[string]string) error {
	var bad problems
	if len(tags) == 0 {
		bad.missing("tags")
	}
	checkTags(&bad, tags)
	if err := bad.err(); err != nil {
		return err
	}
	s, err := e.find(t)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	merged := maps.Clone(s.tags)
	maps.Copy(merged, tags)
	if len(merged) > tagsPerStream {
		return invalid("Failed to add tags to stream %s under account %s because a given stream cannot have more than %d tags associated with it.",
			s.name, e.o.AccountID, tagsPerStream)
	}
	s.tags = merged
	return nil
}

func (e *Engine) dropTags(t target, keys []string) error {
	if len(keys) == 0 {
		var bad problems
		bad.missing("tagKeys")
		return bad.err()
	}
	s, err := e.find(t)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.tags, k)
	}
	return nil
}

type tagsInput struct {
	target
	Tags map[string]string
}

func (e *Engine) addTagsToStream(in *tagsInput) (*none, error) {
	return nil, e.setTags(in.target, in.Tags)
}

type tagKeysInput struct {
	target
	TagKeys []string
}

func (e *Engine) removeTagsFromStream(in *tagKeysInput) (*none, error) {
	return nil, e.dropTags(in.target, in.TagKeys)
}

type listTagsInput struct {
	target
	ExclusiveStartTagKey string
	Limit                *int
}

type tag struct{ Key, Value string }

type listTagsOutput struct {
	Tags        []tag
	HasMoreTags bool
}

func (e *Engine) listTagsForStream(in *listTagsInput) (*listTagsOutput, error) {
	var bad problems
	bad.within("limit", in.Limit, 1, tagsPerStream)
	if err := bad.err(); err != nil {
		return nil, err
	}
	tags, err := e.tags(in.target)
	if err != nil {
		return nil, err
	}
	tags = slices.DeleteFunc(tags, func(t tag) bool { return t.Key <= in.ExclusiveStartTagKey })
	page, more := pageOf(tags, in.Limit, defaultTagPage)
	return &listTagsOutput{page, more}, nil
}

// tags returns all tags of a stream by key; never nil.
func (e *Engine) tags(t target) ([]tag, error) {
	s, err := e.find(t)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []tag{}
	for _, k := range slices.Sorted(maps.Keys(s.tags)) {
		out = append(out, tag{k, s.tags[k]})
	}
	return out, nil
}

type resourceTagsInput struct {
	ResourceARN string
	Tags        map[string]string
	TagKeys     []string
}

func (e *Engine) tagResource(in *resourceTagsInput) (*none, error) {
	return nil, e.withResource(in.ResourceARN, func(s target, c *consumer) error {
		if c == nil {
			return e.setTags(s, in.Tags)
		}
		return c.changeTags(func(tags map[string]string) { maps.Copy(tags, in.Tags) })
	})
}

func (e *Engine) untagResource(in *resourceTagsInput) (*none, error) {
	return nil, e.withResource(in.ResourceARN, func(s target, c *consumer) error {
		if c == nil {
			return e.dropTags(s, in.TagKeys)
		}
		return c.changeTags(func(tags map[string]string) {
			for _, k := range in.TagKeys {
				delete(tags, k)
			}
		})
	})
}

type resourceTagsOutput struct{ Tags []tag }

func (e *Engine) listTagsForResource(in *resourceTagsInput) (*resourceTagsOutput, error) {
	out := &resourceTagsOutput{Tags: []tag{}}
	err := e.withResource(in.ResourceARN, func(s target, c *consumer) error {
		if c == nil {
			tags, err := e.tags(s)
			out.Tags = tags
			return err
		}
		return c.changeTags(func(tags map[string]string) {
			for _, k := range slices.Sorted(maps.Keys(tags)) {
				out.Tags = append(out.Tags, tag{k, tags[k]})
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// withResource runs f on the stream or, if the ARN names one, the consumer.
func (e *Engine) withResource(arn string, f func(target, *consumer) error) error {
	if arn == "" {
		var bad problems
		bad.missing("resourceARN")
		return bad.err()
	}
	name, consumerPart, err := e.parseARN(arn)
	if err != nil {
		return err
	}
	if consumerPart == "" {
		return f(target{StreamName: name}, nil)
	}
	_, c, err := e.consumer(arn)
	if err != nil {
		return err
	}
	return f(target{}, c)
}
