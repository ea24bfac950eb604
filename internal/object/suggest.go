package object

import "strconv"

// Nearest returns the word that text was most likely meant to be, empty when none is near.
func Nearest(text string, words []string) string { return nearest(text, words) }

// nearest returns the candidate that text was most likely meant to be, empty when none is near.
func nearest(text string, candidates []string) string {
	best, bestDistance := "", 2+len(text)/5 // one slip, two in a long word, and so on
	for _, c := range candidates {
		if d := distance(text, c, bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the letters to add, drop, change or swap that make b of a. At limit and above it stops counting.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// quote puts text into quotes for an error, cut when it is long.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		return strconv.Quote(text[:most]) + "..."
	}
	return strconv.Quote(text)
}
