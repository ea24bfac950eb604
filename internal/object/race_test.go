//go:build race

package object

const raceEnabled = true // the race detector makes all several times slower
