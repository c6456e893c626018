package fetch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kinesis-go/kcl/internal/fetch"
	"github.com/kinesis-go/kcl/local"
)

func TestSubscribeDeliversAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, local.Config{})
		r.put("a", "b")
		rd := r.subscribe(r.fanOutConfig(), fetch.FanOut{})
		rd.want("a", "b")
		r.put("c")
		rd.want("c")
		time.Sleep(20 * time.Minute)
		r.put("d")
		rd.want("d")
		r.split()
		p := rd.take()
		if !p.End || len(p.Children) != 2 {
			t.Errorf("page %+v, want the end with two children", p)
		}
		rd.ended()
		if attempts, failures := r.failed(); len(attempts) > 0 {
			t.Errorf("failures %v, want none", failures)
		}
	})
}
