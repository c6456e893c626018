//go:build !before

package main

import "github.com/kinesis-go/kcl/worker"

func fanOut(r *worker.Reading) { r.FanOut = &worker.FanOut{Required: true} }
