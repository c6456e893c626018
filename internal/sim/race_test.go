//go:build race

package sim_test

// defaultSeeds is less than without the race detector, which makes a simulation some five times slower.
const defaultSeeds = 30
