package fleet

import (
	"context"
	"errors"
	"sync"
)

const (
	// writesAtOnce bounds how many rows a leader writes at the same time.
	writesAtOnce = 16
	// listsAtOnce bounds how many streams' shards it lists at the same time.
	listsAtOnce = 4
)

// each does something with every item, several at a time, and returns once all is done: what went wrong, or that ctx ended
// before all had begun.
func each[T any](ctx context.Context, items []T, do func(T) error) error {
	return eachOf(ctx, writesAtOnce, items, do)
}

func eachOf[T any](ctx context.Context, atOnce int, items []T, do func(T) error) error {
	if len(items) == 0 {
		return nil
	}
	var (
		mu   sync.Mutex
		errs []error
		next int
	)
	take := func() (item T, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(items) || ctx.Err() != nil {
			return item, false
		}
		next++
		return items[next-1], true
	}
	var working sync.WaitGroup
	for range min(atOnce, len(items)) {
		working.Go(func() {
			for item, ok := take(); ok; item, ok = take() {
				if err := do(item); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	working.Wait()
	if next < len(items) {
		errs = append(errs, ctx.Err())
	}
	return errors.Join(errs...)
}
