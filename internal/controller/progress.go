package controller

import "context"

// Phase is a part of a change that takes long when it is of thousands of objects.
type Phase string

// The phases, in their order. A change that another controller was faster than begins anew.
const (
	PhaseRead  Phase = "read"  // objects decoded
	PhasePlan  Phase = "plan"  // references looked up, held against what is there
	PhaseCheck Phase = "check" // those that change, checked
	PhaseStore Phase = "store" // one transaction of all; done is 0 until it has happened
)

// Progress is how far a phase is. It is called by the goroutine that makes the change.
type Progress func(phase Phase, done, of int)

// progressStep is how many objects pass between two calls.
const progressStep = 256

type progressKey struct{}

// WithProgress has changes made under a context tell how far they are.
func WithProgress(ctx context.Context, tell Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, tell)
}

// progressOf is what a context has been given, or does nothing.
func progressOf(ctx context.Context) Progress {
	if tell, ok := ctx.Value(progressKey{}).(Progress); ok {
		return tell
	}
	return func(Phase, int, int) {}
}

// each tells of one object more, now and then.
func (tell Progress) each(phase Phase, i, of int) {
	if i%progressStep == 0 {
		tell(phase, i, of)
	}
}
