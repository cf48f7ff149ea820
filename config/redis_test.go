package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

func TestParseRedisURL(t *testing.T) {
	t.Parallel()
	secret := cmp.Comparer(func(a, b config.Secret) bool { return a.IsSet() == b.IsSet() && a.Reveal() == b.Reveal() })
	for _, test := range []struct {
		url  string
		want config.Redis
		err  string
	}{
		{url: "redis://localhost", want: config.Redis{Addrs: []string{"localhost:6379"}}},
		{url: "redis://:p%40ss@redis.example:7000/2", want: config.Redis{Addrs: []string{"redis.example:7000"}, DB: 2, Password: config.NewSecret("p@ss")}},
		{url: "rediss://sts:pass@[2001:db8::1]:6380/", want: config.Redis{Addrs: []string{"[2001:db8::1]:6380"}, TLS: true, Username: "sts", Password: config.NewSecret("pass")}},
		{url: "rediss://a?addr=a:6379", want: config.Redis{Addrs: []string{"a:6379", "a:6379"}, TLS: true, Cluster: true}},
		{url: "redis://u:p@a:7000/0?addr=b:7000&addr=c:7000", want: config.Redis{
			Addrs: []string{"a:7000", "b:7000", "c:7000"}, Cluster: true, Username: "u", Password: config.NewSecret("p")}},
		{url: "redis://u:p@a/3?master_name=main&addr=b:26379&sentinel_username=s&sentinel_password=q", want: config.Redis{
			Addrs: []string{"a:26379", "b:26379"}, MasterName: "main", DB: 3, Username: "u", Password: config.NewSecret("p"),
			SentinelUsername: "s", SentinelPassword: config.NewSecret("q")}},

		{url: "localhost:6379", err: "it is not redis:// or rediss:// and a host"},
		{url: "http://localhost:6379", err: "it is not redis:// or rediss:// and a host"},
		{url: "unix:///run/redis.sock", err: "it is not redis:// or rediss:// and a host"},
		{url: "redis://", err: "it is not redis:// or rediss:// and a host"},
		{url: "redis://:6379", err: "it is not redis:// or rediss:// and a host"},
		{url: "redis://a:7000,b:7000", err: "an address is not host:port"},
		{url: "redis://a#b", err: "it is not redis:// or rediss:// and a host"},
		{url: "redis://a:0", err: "an address is not host:port"},
		{url: "redis://a:65536", err: "an address is not host:port"},
		{url: "redis://a?addr=b", err: "an address is not host:port"},
		{url: "redis://a?addr=:6379", err: "an address is not host:port"},
		{url: "redis://a?addr=", err: "addr is empty or repeated"},
		{url: "redis://a?master_name=x&master_name=y", err: "master_name is empty or repeated"},
		{url: "redis://a?%zz", err: "its query is not validly encoded"},
		{url: "rediss://a?skip_verify=true", err: "its query has a parameter other than addr, master_name, sentinel_username and sentinel_password"},
		{url: "redis://a?sentinel_password=x", err: "sentinel_username and sentinel_password go with master_name"},
		{url: "redis://a/x", err: "its path is not the number of a database, 0 in a cluster"},
		{url: "redis://a/1/2", err: "its path is not the number of a database, 0 in a cluster"},
		{url: "redis://a/1?addr=b:6379", err: "its path is not the number of a database, 0 in a cluster"},
	} {
		got, err := config.ParseRedisURL(test.url)
		if text := errorText(err); text != test.err {
			t.Errorf("%s: %q, want %q", test.url, text, test.err)
		}
		if diff := cmp.Diff(test.want, got, secret); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.url, diff)
		}
	}
}

// TestRedisURL has a URL that is none be told by its place, and no part of it.
func TestRedisURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"store: {redis: {url: {env: SECRET}}}\n", `config.yaml:16:22: store.redis.url: this is not the URL of a Redis server: it is not redis:// or rediss:// and a host [invalid-url]
   16 | store: {redis: {url: {env: SECRET}}}
      |                      ^
   hint: write rediss://user:password@host:6379; config/README.md has those of sentinels and clusters
`},
		{"store: {redis: {url: \"redis://:pa@ss@word@host?timeout=3s\"}}\n", `config.yaml:16:22: store.redis.url: this is not the URL of a Redis server: its query has a parameter other than addr, master_name, sentinel_username and sentinel_password [invalid-url]
   hint: write rediss://user:password@host:6379; config/README.md has those of sentinels and clusters
`},
	} {
		_, err := config.Parse("config.yaml", []byte(edited("", test.text)), config.Options{Getenv: everyVariable, ReadFile: readFrom(nil)})
		var found config.Diagnostics
		if !errors.As(err, &found) {
			t.Fatalf("%s: %v", test.text, err)
		}
		var got strings.Builder
		for _, d := range found {
			if d.ID == "invalid-url" {
				got.WriteString(d.String())
			}
		}
		if diff := cmp.Diff(test.want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
