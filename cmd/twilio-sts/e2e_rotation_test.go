package main_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// rotation takes a provider through rotations of its keys and outages while
// people with tokens of keys that are known go on exchanging them.
func (e endToEnd) rotation(t *testing.T) {
	needNode(t)
	k1, k2, k3 := newPrivateJWK(t, "k1"), newPrivateJWK(t, "k2"), newPrivateJWK(t, "k3")
	p := newProvider(t)
	p.start(t, k1)
	first := p.login(t, "spa", "alice")
	s := e.serve(t, fmt.Sprintf(`
issuers:
  - name: op
    issuer: %s
    audiences: [spa]
    identity: "op_${escape(claims.sub)}"
rules:
  - name: everyone
    when: "true"
    grants: {chat: {service_sid: IS00000000000000000000000000000000}}
`, p.issuer))
	l := newLoad(t, s)
	// accepted exchanges a token, alone and then under load.
	accepted := func(token string) {
		t.Helper()
		if status, body := s.exchange(t, token, nil); status != http.StatusOK {
			t.Fatalf("status %d: %v", status, body)
		}
		l.add(token)
		l.more(t)
	}

	accepted(first)
	fetches := p.kill()
	if fetches != 1 {
		t.Errorf("the keys were fetched %d times by the start, want once", fetches)
	}
	l.more(t) // while the provider is away

	p.start(t, k2, k1)
	second := p.login(t, "spa", "bob")
	l.more(t)
	accepted(second)
	if n := p.kill() - fetches; n != 1 {
		t.Errorf("the keys were fetched %d times for the new key, want once", n)
	}

	// A key that the service cannot fetch is not known, and costs nobody else
	// anything.
	p.start(t, k3, k2, k1)
	third := p.login(t, "spa", "alice")
	p.kill()
	status, body := s.exchange(t, third, nil)
	wantRefusal(t, "the ID token's signature is not valid", "bad_signature", "reauthenticate", status, body)
	l.more(t)

	// It is fetched without anybody's asking when the provider is back.
	p.start(t, k3, k2, k1)
	await(t, s.exited, "the key is not accepted", func() bool {
		status, _ := s.exchange(t, third, nil)
		return status == http.StatusOK
	})
	accepted(third)
}

// A load exchanges tokens without a pause.
type load struct {
	s    *service
	done chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	moved    sync.Cond
	tokens   []string
	count    int      // of exchanges that have ended
	failures []string // of exchanges that ended otherwise than with a token
}

const (
	loadWorkers = 4
	loadStep    = 100 // exchanges in each phase of a test
)

// newLoad returns a load that begins with its first token, and ends with the
// test at the latest.
func newLoad(t *testing.T, s *service) *load {
	l := &load{s: s, done: make(chan struct{})}
	l.moved.L = &l.mu
	t.Cleanup(func() { l.stop(t) })
	return l
}

func (l *load) add(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = append(l.tokens, token)
	if len(l.tokens) > 1 {
		return
	}
	for range loadWorkers {
		l.wg.Go(l.work)
	}
}

func (l *load) work() {
	for i := 0; ; i++ {
		select {
		case <-l.done:
			return
		default:
		}
		l.mu.Lock()
		token := l.tokens[i%len(l.tokens)]
		l.mu.Unlock()
		status, body, err := l.s.post(token, nil)
		l.mu.Lock()
		l.count++
		if err != nil || status != http.StatusOK {
			l.failures = append(l.failures, fmt.Sprintf("%v, status %d: %v", err, status, body))
		}
		l.moved.Broadcast()
		l.mu.Unlock()
	}
}

// more waits until as many exchanges as a phase has were begun and ended from
// now on.
func (l *load) more(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for target := l.count + loadStep + loadWorkers; l.count < target && len(l.failures) == 0; {
		l.moved.Wait()
	}
	if len(l.failures) > 0 {
		t.FailNow() // stop says why
	}
}

// stop ends the load and reports what failed since the last look.
func (l *load) stop(t *testing.T) {
	select {
	case <-l.done:
		return
	default:
	}
	close(l.done)
	l.wg.Wait()
	for _, failure := range l.failures {
		t.Error(failure)
	}
}
