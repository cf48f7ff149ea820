package exchange

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"twilio-sts/config/rules"
)

// retraceShare bounds what retracing costs: of the time, one part in so many.
const retraceShare = 20

// Why a refusal has no trace.
const (
	notRetraced  = "too many were refused at that moment for each to have its rules traced"
	notTraceable = "its rules could not be traced"
)

// A retracer decides refusals anew, for the trace: one at a time, and then it
// rests, so that a flood of refusals costs little more than without it.
type retracer struct {
	now func() time.Time
	log *slog.Logger

	mu       sync.Mutex
	next     time.Time // when it has rested
	deflater *flate.Writer
}

// A ruleTrace is a packed rules.Trace, or why there is none. The zero ruleTrace
// is that of a verdict that no rule took part in, or that granted.
type ruleTrace struct {
	packed  []byte // deflated JSON
	missing string
}

// retrace has decide fill in a trace, and packs it. A panic in there must not
// change what the caller is told.
func (t *retracer) retrace(decide func(*rules.Trace)) (traced ruleTrace) {
	if !t.mu.TryLock() {
		return ruleTrace{missing: notRetraced}
	}
	defer t.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			t.log.Error("tracing", "error", fmt.Sprintf("a panic of type %T", r))
			traced = ruleTrace{missing: notTraceable}
		}
	}()
	began := t.now()
	if began.Before(t.next) {
		return ruleTrace{missing: notRetraced}
	}
	var trace rules.Trace
	decide(&trace)
	packed, err := t.pack(&trace)
	t.next = began.Add(retraceShare * t.now().Sub(began))
	if err != nil {
		return ruleTrace{missing: notTraceable}
	}
	return ruleTrace{packed: packed}
}

// pack makes a trace small: traces repeat themselves, and a thousand are kept.
func (t *retracer) pack(trace *rules.Trace) ([]byte, error) {
	var packed bytes.Buffer
	if t.deflater == nil {
		var err error
		if t.deflater, err = flate.NewWriter(nil, flate.BestSpeed); err != nil {
			return nil, err
		}
	}
	t.deflater.Reset(&packed)
	if err := json.NewEncoder(t.deflater).Encode(trace); err != nil {
		return nil, err
	}
	if err := t.deflater.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(packed.Bytes()), nil
}

// unpack returns the trace, or nil where there is none.
func (t ruleTrace) unpack() (*rules.Trace, error) {
	if t.packed == nil {
		return nil, nil
	}
	data, err := io.ReadAll(flate.NewReader(bytes.NewReader(t.packed)))
	if err != nil {
		return nil, fmt.Errorf("unpacking a trace: %w", err)
	}
	trace := &rules.Trace{}
	if err := json.Unmarshal(data, trace); err != nil {
		return nil, fmt.Errorf("reading a trace: %w", err)
	}
	return trace, nil
}
