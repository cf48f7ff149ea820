package store

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"twilio-sts/config"
)

// How long a request waits for Redis, in the end and for each step.
const (
	redisTimeout = 2 * time.Second
	stepTimeout  = time.Second
)

// Keys in Redis. Marks share a hash tag, and so a node of a cluster: all of
// them are set, or none.
const (
	countPrefix = "twilio-sts:use:"
	markPrefix  = "twilio-sts:{mark}:"
	ratePrefix  = "twilio-sts:rate:"
)

// Redis is the store of replicas that share one Redis: a single server, a
// master behind sentinels, or a cluster. Each operation is one command or one
// script on one node, and so atomic.
//
// Rates run by the clock of Redis, which is the same for all replicas. Counts
// and marks expire by it too, after a time that the caller's clock measures: it
// does not matter what time Redis thinks it is.
//
// An operation is not tried again: a use whose answer got lost may have been
// counted, and would count twice.
type Redis struct {
	client redis.UniversalClient
	now    func() time.Time
}

// RedisOptions are what a Redis needs beyond its URL.
type RedisOptions struct {
	Now     func() time.Time // required
	Log     *slog.Logger     // required
	RootCAs *x509.CertPool   // who may vouch for the server; nil: the system's
}

// NewRedis returns a store at a URL that config.ParseRedisURL reads. It does no
// I/O: a Redis that is down is an error of each operation until it is there.
func NewRedis(url string, o RedisOptions) (*Redis, error) {
	at, err := config.ParseRedisURL(url)
	if err != nil {
		return nil, fmt.Errorf("reading the URL of Redis: %w", err)
	}
	// What go-redis would print, its operations return as errors.
	logging.Disable()
	options := &redis.UniversalOptions{
		Addrs:            at.Addrs,
		MasterName:       at.MasterName,
		IsClusterMode:    at.Cluster,
		DB:               at.DB,
		Username:         at.Username,
		Password:         at.Password.Reveal(),
		SentinelUsername: at.SentinelUsername,
		SentinelPassword: at.SentinelPassword.Reveal(),

		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           stepTimeout,
		ReadTimeout:           stepTimeout,
		WriteTimeout:          stepTimeout,
		PoolTimeout:           stepTimeout,
		ContextTimeoutEnabled: true,

		DisableIdentity:          true,
		PipelinePoolSize:         -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		OnConnect:                warnOfEviction(o.Log),
	}
	if at.TLS {
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs}
	}
	return &Redis{redis.NewUniversalClient(options), o.Now}, nil
}

// warnOfEviction returns a hook that looks, at each new connection, whether the
// server may forget counts and marks when it has no memory left, and says so
// once. Servers that do not tell are believed.
func warnOfEviction(log *slog.Logger) func(context.Context, *redis.Conn) error {
	var warned atomic.Bool
	return func(ctx context.Context, c *redis.Conn) error {
		info, _ := c.InfoMap(ctx, "memory").Result()
		policy := info["Memory"]["maxmemory_policy"]
		if policy != "" && policy != "noeviction" && info["Memory"]["maxmemory"] != "0" && !warned.Swap(true) {
			log.Warn("Redis may forget replay counts and logout marks when its memory is full: set maxmemory-policy noeviction", "maxmemory_policy", policy)
		}
		return nil
	}
}

// Close implements Store.
func (r *Redis) Close() error { return r.client.Close() }

var useScript = redis.NewScript(`
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
if used >= tonumber(ARGV[1]) then return 0 end
local ttl = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[2]))
redis.call('SET', KEYS[1], used + 1, 'PX', ttl)
return 1
`)

// Use implements Store.
func (r *Redis) Use(ctx context.Context, key [sha256.Size]byte, max int, expires time.Time) (bool, error) {
	ttl := r.ttl(expires)
	if ttl <= 0 {
		return false, nil
	}
	ok, err := r.run(ctx, useScript, []string{redisKey(countPrefix, key)}, max, ttl)
	return ok == 1, err
}

// Times are nanoseconds in nineteen digits, which compare as text: Lua's
// numbers are not exact that far.
var markScript = redis.NewScript(`
for i, key in ipairs(KEYS) do
  local at, ttl = ARGV[2*i-1], tonumber(ARGV[2*i])
  local old = redis.call('GET', key)
  if old and old > at then at = old end
  redis.call('SET', key, at, 'PX', math.max(redis.call('PTTL', key), ttl))
end
return 0
`)

// Mark implements Store.
func (r *Redis) Mark(ctx context.Context, marks []Mark) error {
	var keys []string
	var args []any
	for _, m := range marks {
		if ttl := r.ttl(m.Expires); ttl > 0 {
			keys = append(keys, redisKey(markPrefix, m.Key))
			args = append(args, fmt.Sprintf("%019d", m.At.UnixNano()), ttl)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	_, err := r.run(ctx, markScript, keys, args...)
	return err
}

// Marked implements Store.
func (r *Redis) Marked(ctx context.Context, keys ...[sha256.Size]byte) ([]time.Time, error) {
	at := make([]time.Time, len(keys))
	if len(keys) == 0 {
		return at, nil
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = redisKey(markPrefix, key)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	values, err := r.client.MGet(ctx, names...).Result()
	if err != nil {
		return nil, redisError(err)
	}
	for i, value := range values {
		text, ok := value.(string)
		if !ok {
			continue
		}
		var nano int64
		if _, err := fmt.Sscanf(text, "%d", &nano); err != nil {
			return nil, fmt.Errorf("redis: a mark is not a time")
		}
		at[i] = time.Unix(0, nano)
	}
	return at, nil
}

// The same arithmetic as Memory's, in microseconds.
var rateScript = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local period, interval, take = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local full = tonumber(redis.call('GET', KEYS[1]) or now)
full = math.min(math.max(full, now), now + period)
local wait = full + interval - now - period
if wait > 0 then return math.ceil(wait) end
if take then
  full = full + interval
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil((full - now) / 1000))
end
return 0
`)

// Allow implements Store.
func (r *Redis) Allow(ctx context.Context, key string, rate config.Rate) (time.Duration, error) {
	return r.take(ctx, key, rate, 1)
}

// Peek implements Store.
func (r *Redis) Peek(ctx context.Context, key string, rate config.Rate) (time.Duration, error) {
	return r.take(ctx, key, rate, 0)
}

func (r *Redis) take(ctx context.Context, key string, rate config.Rate, events int) (time.Duration, error) {
	if rate == (config.Rate{}) {
		return 0, nil
	}
	// What was a rate's key, an address or a subject, is not stored.
	name := redisKey(ratePrefix, sha256.Sum256([]byte(key)))
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	wait, err := r.run(ctx, rateScript, []string{name}, micros(rate.Per), micros(interval(rate)), events)
	return time.Duration(wait) * time.Microsecond, err
}

// run runs a script that returns a number.
func (r *Redis) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := script.Run(ctx, r.client, keys, args...).Int64()
	return n, redisError(err)
}

// ttl returns how many milliseconds from now what expires then is kept.
func (r *Redis) ttl(expires time.Time) int64 { return expires.Add(grace).Sub(r.now()).Milliseconds() }

// bounded leaves out the caller's own end: an answer that nobody waits for says
// nothing of Redis, and would break off what has begun.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
}

func redisKey(prefix string, key [sha256.Size]byte) string {
	return prefix + base64.RawURLEncoding.EncodeToString(key[:])
}

func redisError(err error) error {
	switch {
	case err == nil:
		return nil
	case redis.IsOOMError(err):
		return ErrFull
	case strings.HasPrefix(err.Error(), "redis: "):
		return err
	}
	return fmt.Errorf("redis: %w", err)
}
