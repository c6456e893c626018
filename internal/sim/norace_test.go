//go:build !race

package sim_test

const (
	defaultSeeds = 180
	phases       = 10 // of each timing
)
