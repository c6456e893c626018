//go:build race

package sim_test

// The race detector makes a simulation some five times slower.
const (
	defaultSeeds = 20
	phases       = 3 // of each timing
)
