package sdk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookswitch/hookswitch/internal/pluginpb"
	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// runFlags are the arguments of "run".
type runFlags struct {
	event, settings string
	attempt         uint
	timeout         time.Duration
}

func (p Plugin) parseRun(args []string, stdout, stderr io.Writer) (runFlags, error) {
	var f runFlags
	set := flag.NewFlagSet(p.Name+" run", flag.ContinueOnError)
	set.StringVar(&f.event, "event", "", "a `FILE` with the body of a webhook, - for standard input, or an event type to use its sample")
	set.StringVar(&f.settings, "settings", "", "a `FILE` with the plugin's settings, in JSON")
	set.UintVar(&f.attempt, "attempt", 1, "which try this is")
	set.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long the handler may take")
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprintf(set.Output(), `%s run handles one event in this process, without a sidecar, and prints what
became of it. Nothing is verified. Handlers do what they do: they send and store.

`, p.Name)
		set.PrintDefaults()
		fmt.Fprintf(set.Output(), `
The exit code is 0 if the event is done, %d if it would be retried, %d if it
would be a dead letter, %d if it cannot be read, %d if the settings are refused.
`, exitRetry, exitDead, exitNoInput, exitSettings)
	}
	if len(args) > 0 && (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
		set.SetOutput(stdout)
		set.Usage()
		return f, flag.ErrHelp
	}
	if err := set.Parse(args); err != nil {
		return f, err // it has been printed
	}
	switch {
	case set.NArg() > 0:
		return f, sayUsage(stderr, p.Name, fmt.Errorf("unexpected argument %q", set.Arg(0)))
	case f.event == "":
		return f, sayUsage(stderr, p.Name, errors.New("which event? Add --event FILE, or --event with one of: "+strings.Join(p.Mux.Patterns(), ", ")))
	case f.attempt == 0 || f.timeout <= 0:
		return f, sayUsage(stderr, p.Name, errors.New("--attempt and --timeout must be above 0"))
	}
	return f, nil
}

func sayUsage(w io.Writer, name string, err error) error {
	fmt.Fprintf(w, "%s run: %v\n", name, err)
	return err
}

// runEvent handles one event as under the sidecar.
func (p Plugin) runEvent(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	f, err := p.parseRun(args, stdout, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	e, err := readEvent(f.event, stdin)
	if err == nil && !slices.ContainsFunc(p.Mux.Patterns(), func(pattern string) bool { return event.Match(pattern, e.GetEventType()) }) {
		err = fmt.Errorf("this plugin gets no events of type %q; it handles: %s", e.GetEventType(), strings.Join(p.Mux.Patterns(), ", "))
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s run: %v\n", p.Name, err)
		return exitNoInput
	}
	e.Attempt, e.Timeout = uint32(f.attempt), durationpb.New(f.timeout)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	svc := p.service(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if code := p.configureByHand(ctx, f.settings, stderr); code != 0 {
		return code
	}
	began := time.Now()
	resp, err := svc.Handle(ctx, &pluginpb.HandleRequest{Event: e})
	if err != nil {
		fmt.Fprintf(stderr, "%s run: %v\n", p.Name, err)
		return 1
	}
	return printResult(stdout, e, resp.GetResult(), time.Since(began))
}

// configureByHand hands the settings to the plugin, as the sidecar does before
// the first event.
func (p Plugin) configureByHand(ctx context.Context, path string, stderr io.Writer) int {
	var settings []byte
	if path != "" {
		var err error
		if settings, err = os.ReadFile(path); err != nil {
			fmt.Fprintf(stderr, "%s run: read the settings: %v\n", p.Name, err)
			return exitNoInput
		}
		if p.Configure == nil {
			fmt.Fprintf(stderr, "%s run: --settings: this plugin has no settings\n", p.Name)
			return exitSettings
		}
	}
	if p.Configure == nil {
		return 0
	}
	_, err := p.Configure.Apply(ctx, settings)
	wrong := FieldErrors(err)
	if len(wrong) == 0 {
		return 0
	}
	fmt.Fprintf(stderr, "%s run: the plugin refuses its settings, %s:\n", p.Name, cmp.Or(path, "of which there are none (--settings FILE)"))
	for _, e := range wrong {
		fmt.Fprintf(stderr, "  %v\n", &e)
	}
	return exitSettings
}

// readEvent returns the event that --event names.
func readEvent(name string, stdin io.Reader) (*pluginpb.Event, error) {
	contentType := event.SampleContentType(name)
	var body []byte
	var err error
	switch {
	case name == "-":
		body, err = io.ReadAll(stdin)
	case contentType != "":
		body, _ = event.Sample(name)
	default:
		body, err = os.ReadFile(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the event: %q is neither a file nor an event type with a sample%s", name, similar(name))
	}
	if err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	if contentType == "" {
		contentType = "application/json"
		if text := bytes.TrimSpace(body); len(text) > 0 && text[0] != '{' && text[0] != '[' {
			contentType = "application/x-www-form-urlencoded"
		}
	}
	e := webhook.Decode(contentType, body)
	return &pluginpb.Event{
		EventId:        e.ID,
		EventType:      e.Type,
		OccurredAt:     e.OccurredAt.String(),
		ReceivedAt:     timestamppb.Now(),
		Body:           body,
		ContentType:    contentType,
		Headers:        []*pluginpb.Header{{Name: "Content-Type", Value: contentType}},
		IdempotencyKey: e.Key(),
	}, nil
}

// similar suggests the event type that may have been meant.
func similar(name string) string {
	best, distance := "", 4
	for _, sample := range event.Samples() {
		if d := distanceOf(name, sample); d < distance {
			best, distance = sample, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

// printResult prints the outcome of the event and returns the exit code.
func printResult(w io.Writer, e *pluginpb.Event, res *pluginpb.Result, took time.Duration) int {
	about := cmp.Or(e.GetEventType(), "event")
	took = took.Round(10 * time.Microsecond)
	switch out := res.GetOutcome().(type) {
	case *pluginpb.Result_Ack:
		fmt.Fprintf(w, "%s: done in %v\n", about, took)
		return 0
	case *pluginpb.Result_Fail:
		fmt.Fprintf(w, "%s: dead letter after %v: %s\n", about, took, out.Fail.GetReason())
		return exitDead
	}
	r := res.GetRetry()
	when := "by the sidecar's schedule"
	if after := r.GetAfter().AsDuration(); after > 0 {
		when = fmt.Sprintf("not before %v", after)
	}
	fmt.Fprintf(w, "%s: retry, %s, after %v: %s\n", about, when, took, r.GetReason())
	return exitRetry
}
