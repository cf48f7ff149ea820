package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"
)

// readyEvery is how often a service that starts is asked whether it is ready.
const readyEvery = 50 * time.Millisecond

// A notifier tells the service manager how the service is, as sd_notify(3)
// does. The zero notifier, where no manager asks to be told, tells nobody.
type notifier struct {
	socket string // $NOTIFY_SOCKET
	log    *slog.Logger
}

// follow says READY=1 once ready reports true, and STOPPING=1 when ctx ends.
func (n notifier) follow(ctx context.Context, ready func() bool) {
	if n.socket == "" {
		return
	}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if ready() {
			n.say("READY=1")
			break
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	<-ctx.Done()
	n.say("STOPPING=1")
}

// say sends one message. A manager that cannot be told is no reason not to
// serve; it will say itself that it waited.
func (n notifier) say(state string) {
	// A name that begins with @ is abstract, for the manager as for package net.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(state))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		n.log.Warn("the service manager was not told", "state", state, "error", err)
	}
}
