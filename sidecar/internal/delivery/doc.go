// Package delivery has the words for getting an event to its targets: an
// [Event] makes a [Job] for each target that wants it, a [Task] is a job
// together with its event, and an [Attempt] at it has an [Outcome]. [Next] is
// the one place that decides what state a job is in after an attempt.
//
// Stores, targets and loops share these words, so that a target knows nothing
// of how events are stored. The package stores nothing, sends nothing and
// starts nothing.
package delivery
