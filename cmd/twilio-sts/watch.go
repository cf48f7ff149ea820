package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"twilio-sts/config"
)

// lookEvery is how often serve looks whether its files have changed. A change
// that is the same at two looks is served.
const lookEvery = 2 * time.Second

// prompts make serve look at its files.
type prompts struct {
	looks   <-chan time.Time // whether they have changed
	hangups <-chan os.Signal // load them whatever they were
	stop    func()
}

// A watched is a configuration that serve loads anew when its file, or a file
// that it names, has changed.
type watched struct {
	path   string
	serve  func(*config.Config)
	failed func(error)

	// What each file held that the last load read, and at the last look.
	read, seen map[string]content
}

// A content identifies what a file holds, or why it could not be read.
type content struct {
	hash    [sha256.Size]byte
	problem string
}

func contentOf(data []byte, err error) content {
	if err != nil {
		return content{problem: err.Error()}
	}
	return content{hash: sha256.Sum256(data)}
}

// load loads the configuration and notes what it reads. What is no file, such
// as a pipe, cannot be read twice and is not looked at again.
func (w *watched) load(p *program, log *slog.Logger) (*config.Config, error) {
	w.read = map[string]content{}
	return p.loadServed(w.path, log, func(path string) ([]byte, error) {
		info, err := os.Stat(path)
		pipe := err == nil && !info.Mode().IsRegular()
		data, err := os.ReadFile(path)
		if !pipe {
			w.read[path] = contentOf(data, err)
		}
		return data, err
	})
}

func (w *watched) look() map[string]content {
	now := map[string]content{}
	for path := range w.read {
		now[path] = contentOf(os.ReadFile(path))
	}
	return now
}

// changed reports whether the files are others than the last load read, and the
// same as at the last look: half a file may be a valid one, with the rules at its
// end missing, and so is one file of an old set beside another of a new one.
func (w *watched) changed() bool {
	before := w.seen
	w.seen = w.look()
	return maps.Equal(w.seen, before) && !maps.Equal(w.seen, w.read)
}

// reload serves what the files say now. When they change meanwhile, what was read
// is of no one time, and another look is worth more.
func (w *watched) reload(p *program, log *slog.Logger) {
	cfg, err := w.load(p, log)
	w.seen = w.look()
	switch {
	case !maps.Equal(w.seen, w.read):
	case err != nil:
		w.failed(err)
	default:
		w.serve(cfg)
	}
}

// watch loads configurations again, as prompted, until ctx ends. It returns a
// function that waits for that.
func (p *program) watch(ctx context.Context, log *slog.Logger, by prompts, all ...*watched) (wait func()) {
	var g sync.WaitGroup
	g.Go(func() {
		for {
			hangup := false
			select {
			case <-ctx.Done():
				return
			case <-by.hangups:
				hangup = true
			case <-by.looks:
			}
			for _, w := range all {
				if hangup || w.changed() {
					w.reload(p, log)
				}
			}
		}
	})
	return g.Wait
}
