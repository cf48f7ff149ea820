package exchange

import (
	"errors"
	"io"
	"time"
)

// auditWait bounds the wait for an audit line to be written. Exchanges wait for
// each other's lines, so a reader that has stopped would hold all of them.
const auditWait = 2 * time.Second

var (
	errAuditSlow  = errors.New("it takes longer than 2s; whatever the line says, its exchange is refused")
	errAuditStuck = errors.New("an earlier line is still being written")
)

// A boundedWriter gives up on a write after auditWait, and until that write ends
// all the same it refuses every other at once: one goroutine at most hangs. It
// keeps what it was given to write. It is not safe for concurrent use.
type boundedWriter struct {
	out   io.Writer
	after func(time.Duration) <-chan time.Time
	stuck <-chan written // the write that was given up; nil: none
}

type written struct {
	n   int
	err error
}

// Write implements io.Writer. Of a write that was given up all may have been
// written, and so it says.
func (w *boundedWriter) Write(p []byte) (int, error) {
	if w.stuck != nil {
		select {
		case <-w.stuck:
			w.stuck = nil
		default:
			return 0, errAuditStuck
		}
	}
	ended := make(chan written, 1)
	go func() {
		n, err := w.out.Write(p)
		ended <- written{n, err}
	}()
	select {
	case end := <-ended:
		return end.n, end.err
	case <-w.after(auditWait):
		w.stuck = ended
		return len(p), errAuditSlow
	}
}
