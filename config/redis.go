package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Redis says where a Redis server is and how to sign in there.
type Redis struct {
	Addrs      []string // host:port; with MasterName those of its sentinels
	MasterName string   // "": no sentinels
	Cluster    bool
	TLS        bool
	DB         int
	Username   string
	Password   Secret

	SentinelUsername string
	SentinelPassword Secret
}

// ParseRedisURL reads a Redis server's URL:
//
//	redis[s]://[user:password@]host[:port][/database]            one server
//	redis[s]://…/[?addr=host:port…]                              a cluster, by some of its nodes
//	redis[s]://…/[database]?master_name=NAME[&addr=host:port…]   a master, by its sentinels
//
// Sentinels may have sentinel_username and sentinel_password. Nothing else is
// taken: timeouts are the store's, and a certificate is always checked. Errors
// quote nothing, because the URL is a secret.
func ParseRedisURL(s string) (Redis, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.Fragment != "" {
		return Redis{}, errors.New("it is not redis:// or rediss:// and a host")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Redis{}, errors.New("its query is not validly encoded")
	}
	for name, values := range query {
		if !slices.Contains([]string{"addr", "master_name", "sentinel_username", "sentinel_password"}, name) {
			return Redis{}, errors.New("its query has a parameter other than addr, master_name, sentinel_username and sentinel_password")
		}
		if slices.Contains(values, "") || name != "addr" && len(values) > 1 {
			return Redis{}, fmt.Errorf("%s is empty or repeated", name)
		}
	}
	r := Redis{
		MasterName:       query.Get("master_name"),
		TLS:              u.Scheme == "rediss",
		Username:         u.User.Username(),
		SentinelUsername: query.Get("sentinel_username"),
	}
	if password, ok := u.User.Password(); ok {
		r.Password = NewSecret(password)
	}
	if query.Has("sentinel_password") {
		r.SentinelPassword = NewSecret(query.Get("sentinel_password"))
	}
	r.Cluster = query.Has("addr") && r.MasterName == ""
	if r.MasterName == "" && (query.Has("sentinel_username") || query.Has("sentinel_password")) {
		return Redis{}, errors.New("sentinel_username and sentinel_password go with master_name")
	}

	port := u.Port()
	switch {
	case port == "" && r.MasterName != "":
		port = "26379"
	case port == "":
		port = "6379"
	}
	r.Addrs = append([]string{net.JoinHostPort(u.Hostname(), port)}, query["addr"]...)
	for _, addr := range r.Addrs {
		host, port, err := net.SplitHostPort(addr)
		n, perr := strconv.ParseUint(port, 10, 16)
		if err != nil || perr != nil || n == 0 || host == "" || strings.Contains(host, ",") {
			return Redis{}, errors.New("an address is not host:port")
		}
	}
	if database := strings.TrimPrefix(u.Path, "/"); database != "" {
		n, err := strconv.ParseUint(database, 10, 16)
		if err != nil || r.Cluster && n != 0 {
			return Redis{}, errors.New("its path is not the number of a database, 0 in a cluster")
		}
		r.DB = int(n)
	}
	return r, nil
}
