// Command child is the record processor of the comparisons as a child of a MultiLang daemon.
package main

import (
	"context"
	"log"
	"os"

	"github.com/kinesis-go/kcl"
	"github.com/kinesis-go/kcl/bench/internal/counting"
)

func main() {
	if err := kcl.Serve(context.Background(), os.Stdin, os.Stdout, counting.New); err != nil {
		log.Fatal(err)
	}
}
