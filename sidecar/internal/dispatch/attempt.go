package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// codeGeneric is Telnyx's delivery error code for errors without their own.
const codeGeneric = 75000

// attempt makes one attempt at a claimed job. The order of its effects:
//
//  1. the target is called: from here on the event may have been handled;
//  2. the result and the job's new state are recorded in one commit: the safe
//     point. A crash before it makes the job run again, a crash after it does
//     not;
//  3. OnAttempt is called.
func (l *loop) attempt(attempts, results context.Context, task delivery.Task) {
	attempts, span := l.d.cfg.Tracer.Attempt(attempts, telemetry.Try{
		Target: l.name, EventID: task.Event.ID, EventType: task.Event.Type, DeliveryID: task.Event.DeliveryID,
		N: task.Job.Attempts + 1, Traceparent: task.Event.Traceparent,
	})
	company := l.suspects.begin()
	a, err := l.deliver(attempts, task)
	alone, hadCompany := l.suspects.end(task, company)
	if err != nil {
		l.breaker.released()
		span.Attempted("released", 0, "")
		l.release(results, task)
		return
	}
	away := l.suspects.judge(task, &a, alone, hadCompany, l.d.cfg.Jitter())
	switch l.breaker.result(a, l.d.cfg.Jitter(), away) {
	case opened:
		l.d.log.Warn("target is unavailable: it gets one attempt at a time until one gets through; its events wait", "code", telemetry.CodeTargetUnavailable, "target", l.name, "error", a.Error)
	case closed:
		l.d.log.Info("target is available again", "target", l.name)
	}
	span.Attempted(string(a.Outcome), a.ResponseStatus, a.Error)
	job := task.Job
	job.RoundAt = l.d.clock.Adjust(job.RoundAt) // so that setting the clock does not use up MaxAge
	state, nextAt := delivery.Next(job, a, *l.policy.Load(), l.d.cfg.Jitter())
	if state != delivery.Pending {
		l.suspects.forget(task)
	}
	switch err := l.record(results, task, a, state, nextAt); {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrStale):
		l.d.log.Warn("the result of an attempt is dropped: the store no longer knows this event, or has moved on without the attempt; it was restored, or failed over to a server that did not have everything", "code", telemetry.CodeResultStale, "target", l.name, "delivery_id", task.Event.DeliveryID, "event_id", task.Event.ID, "attempt", a.N, "outcome", a.Outcome, "error", err)
		return
	case err != nil:
		l.d.unrecorded.Add(1)
		l.d.log.Error("the result of an attempt is not recorded", "code", telemetry.CodeResultUnrecorded, "target", l.name, "delivery_id", task.Event.DeliveryID, "event_id", task.Event.ID, "attempt", a.N, "outcome", a.Outcome, "error", err)
		return
	}
	if since, ok := l.breaker.over(); ok {
		l.hurry(results, since, 0, "the target answers again: what was tried meanwhile is tried now")
	}
	l.report(attempts, task, a, state, nextAt)
	if l.d.onAttempt != nil {
		l.d.onAttempt(task, a, state, nextAt)
	}
}

// hurry makes due what was tried in vain while the target was unavailable, since
// then the next try is now and not when the schedule says. The target's own wishes
// stay, and the breaker sees to it that not all of it comes at once.
func (l *loop) hurry(ctx context.Context, since time.Time, limit int, why string) {
	q := store.Query{Target: l.name, Status: store.StatusRetrying, MissedSince: since}
	n, _, err := l.d.store.Hurry(ctx, q, l.d.clock.Now(), limit)
	if err != nil && !errors.Is(err, store.ErrClosed) {
		l.d.log.Warn("what was tried while the target was unavailable waits for its schedule, although the target is back: the store did not bring it forward", "code", telemetry.CodeHurryFailed, "target", l.name, "error", err)
	}
	if n > 0 {
		l.d.log.Info(why, "target", l.name, "events", n)
		l.poke()
	}
}

// release gives back a job that was claimed but not tried.
func (l *loop) release(ctx context.Context, task delivery.Task) {
	if err := l.d.store.Release(ctx, task); err != nil && !errors.Is(err, store.ErrClosed) {
		l.d.log.Error("cannot give back a job that was not tried: the store does that as soon as it can, or the next start", "code", telemetry.CodeReleaseFailed, "target", l.name, "delivery_id", task.Event.DeliveryID, "event_id", task.Event.ID, "error", err)
	}
}

// deliver calls the target and completes the attempt. Its error means that no
// attempt was made.
func (l *loop) deliver(ctx context.Context, task delivery.Task) (a delivery.Attempt, err error) {
	started := time.Now()
	defer func() {
		if p := recover(); p != nil {
			l.d.log.Error("target panicked", "code", telemetry.CodeTargetPanic, "target", l.name, "delivery_id", task.Event.DeliveryID, "event_id", task.Event.ID, "panic", p, "stack", string(debug.Stack()))
			a, err = failed(fmt.Sprintf("target panicked: %v", p)), nil
			a.Cause = delivery.CausePanic
		}
		a.JobID, a.DeliveryID, a.Target, a.N = task.Job.ID, task.Event.DeliveryID, l.name, task.Job.Attempts+1
		if a.StartedAt.IsZero() {
			a.StartedAt = started
		}
		if a.FinishedAt.IsZero() {
			a.FinishedAt = time.Now()
		}
		switch a.Outcome {
		case delivery.OutcomeDone, delivery.OutcomeFailed, delivery.OutcomeRetry, delivery.OutcomeLost:
		default:
			a.Outcome = delivery.OutcomeRetry
		}
	}()
	// Releasing costs nothing and schedules nothing: a target that returns
	// another error while ctx lasts, which it should not, would be called
	// again at once, for ever. So that counts as an attempt.
	if a, err = l.to().Deliver(ctx, task); err != nil && ctx.Err() == nil && !errors.Is(err, delivery.ErrNotReady) &&
		!l.d.draining.Load() && !l.leaving.Load() {
		a, err = failed(err.Error()), nil
	}
	return a, err
}

func failed(message string) delivery.Attempt {
	return delivery.Attempt{Outcome: delivery.OutcomeRetry, ErrorCodes: []int{codeGeneric}, Error: message}
}

// record repeats Finish until it succeeds: the result keeps an event from being
// delivered twice, and repeating is harmless. It gives up when ctx ends or the
// result has become useless: the job is gone, or has moved on.
func (l *loop) record(ctx context.Context, task delivery.Task, a delivery.Attempt, state delivery.State, nextAt time.Time) error {
	failed := false
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := l.d.store.Finish(ctx, a, state, nextAt)
		if err == nil || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrStale) || ctx.Err() != nil {
			return err
		}
		if !failed {
			failed = true
			l.d.trouble.begin()
			defer l.d.trouble.end()
		}
		l.d.trouble.say(l.name, err)
		if endsWithin(ctx.Done(), backoff) {
			return err
		}
	}
}

func (l *loop) report(ctx context.Context, task delivery.Task, a delivery.Attempt, state delivery.State, nextAt time.Time) {
	level, message := slog.LevelDebug, "delivered"
	attrs := []slog.Attr{
		slog.String("target", l.name),
		slog.String("delivery_id", task.Event.DeliveryID),
		slog.String("event_id", task.Event.ID),
		slog.String("event_type", task.Event.Type),
		slog.Int("attempt", a.N),
		slog.Duration("took", a.FinishedAt.Sub(a.StartedAt)),
	}
	switch state {
	case delivery.Pending:
		level, message = slog.LevelInfo, "attempt failed"
		attrs = append(attrs, slog.Time("next_at", nextAt), slog.String("error", a.Error))
	case delivery.Dead:
		level, message = slog.LevelWarn, "gave up: the event is a dead letter"
		attrs = append(attrs, slog.Any("code", telemetry.CodeDeadLetter))
		attrs = append(attrs, slog.String("error", a.Error))
	}
	l.d.log.LogAttrs(ctx, level, message, attrs...)
}
