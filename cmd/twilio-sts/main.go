// Command twilio-sts turns ID tokens into Twilio access tokens by rules.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{getenv: os.LookupEnv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now, prompts: newPrompts}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// newPrompts are SIGHUP, and the clock.
func newPrompts() prompts {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ticker := time.NewTicker(lookEvery)
	return prompts{looks: ticker.C, hangups: hangups, stop: func() { signal.Stop(hangups); ticker.Stop() }}
}
