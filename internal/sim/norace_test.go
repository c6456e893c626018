//go:build !race

package sim_test

const (
	defaultSeeds = 200
	phases       = 10 // of each timing
)
