package facematch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Retry is how calls are repeated. Zero fields have the defaults.
type Retry struct {
	// BackoffFirst and BackoffMax shape the pause before a retry for which the server asked no
	// delay: random, from 0 to BackoffFirst × 2ⁿ, at most BackoffMax, where n is the number of
	// retries in a row without progress. Defaults: 200 ms and 5 s.
	BackoffFirst, BackoffMax time.Duration
	// GiveUpAfter is the longest time without progress, from the first broken call on. Default:
	// 5 min. WatchAll has no such limit.
	GiveUpAfter time.Duration
	// TriesMax is the most retries in a row without progress. Default: no limit.
	TriesMax int
}

// Limits are the limits of single calls. Zero fields have the defaults.
type Limits struct {
	// CallTimeout limits Get, Cancel, Delete and each page of List, retries included. Default: 30 s.
	// One try of Create may take three times as long.
	CallTimeout time.Duration
	// WaitStep is how long one rpc of Wait lets the server wait, at most 10 min. Default: 30 s.
	WaitStep time.Duration
	// SilenceMin: a stream is dead after a silence of 3 heartbeat intervals of the server, but at
	// least after this time. Default: 15 s.
	SilenceMin time.Duration
	// SilenceUnknown is the same before the first heartbeat has told the interval, and while a
	// photo is being sent. Default: 60 s; raise it if photos take longer to send.
	SilenceUnknown time.Duration
	// ReceiveBytesMax and SendBytesMax limit one message. Defaults: 16 MiB and 12 MiB.
	ReceiveBytesMax, SendBytesMax int
}

// Reconnect is a retry that begins after Wait.
type Reconnect struct {
	// Attempt is the number of the retry: 1, and again 1 after progress.
	Attempt int
	// Err is why the call broke.
	Err *Error
	// Wait is the pause before the retry.
	Wait time.Duration
	// RPC is the name of the rpc that broke, such as WatchMatch.
	RPC string
}

// Option is a setting of a client.
type Option func(*settings)

type settings struct {
	// address is the target in gRPC's form.
	address string

	retry       Retry
	limits      Limits
	onReconnect func(Reconnect)

	token               tokenSource
	allowPlaintextToken bool
	headers             map[string]string

	isPlaintext       bool
	tls               *tls.Config
	caFile            string
	certFile, keyFile string
	serverName        string

	dial []grpc.DialOption
}

// WithRetry sets how calls are repeated.
func WithRetry(retry Retry) Option {
	return func(s *settings) { s.retry = retry }
}

// WithLimits sets the limits of single calls.
func WithLimits(limits Limits) Option {
	return func(s *settings) { s.limits = limits }
}

// OnReconnect is told of each retry before its pause, by the goroutine of the call, which waits for
// it to return.
func OnReconnect(tell func(Reconnect)) Option {
	return func(s *settings) { s.onReconnect = tell }
}

// WithToken sends a bearer token with every call.
func WithToken(token string) Option {
	return func(s *settings) { s.token = constantToken(token) }
}

// WithTokenFile sends the bearer token of a file, which is read again for each rpc.
func WithTokenFile(path string) Option {
	return func(s *settings) { s.token = tokenFile(path) }
}

// WithTokenFunc sends the bearer token that a function returns. It is called for each rpc, possibly by
// several goroutines at once, so it should keep a token while that is valid.
func WithTokenFunc(token func(context.Context) (string, error)) Option {
	return func(s *settings) { s.token = tokenFunc(token) }
}

// WithPlaintextToken allows the token to be sent in plaintext over a network. Without it, a client
// with a token and without TLS is refused, unless its target is a loopback address.
func WithPlaintextToken() Option {
	return func(s *settings) { s.allowPlaintextToken = true }
}

// WithHeaders sends further metadata with every call.
func WithHeaders(headers map[string]string) Option {
	return func(s *settings) { s.headers = headers }
}

// WithPlaintext connects without TLS. It is the default for loopback addresses and http:// only.
func WithPlaintext() Option {
	return func(s *settings) { s.isPlaintext = true }
}

// WithTLS connects with TLS and this configuration.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.tls = config.Clone() }
}

// WithCAFile connects with TLS and trusts the authorities in this PEM file instead of the system's.
func WithCAFile(path string) Option {
	return func(s *settings) { s.caFile = path }
}

// WithClientCertificate connects with TLS and presents this certificate, both files PEM. They are read
// again for each connection, so that a renewed certificate is used.
func WithClientCertificate(certFile, keyFile string) Option {
	return func(s *settings) { s.certFile, s.keyFile = certFile, keyFile }
}

// WithServerName connects with TLS and expects this name in the server's certificate, instead of the
// target's.
func WithServerName(name string) Option {
	return func(s *settings) { s.serverName = name }
}

// WithDialOptions passes options to gRPC, after those of this package.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}

func newSettings(target string, options []Option) (*settings, error) {
	address, scheme, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	s := &settings{address: address}
	for _, option := range options {
		option(s)
	}
	if err := s.setDefaults(); err != nil {
		return nil, err
	}
	isLoopback := isLoopback(address)
	if s.isPlaintext && scheme == "https" {
		return nil, usageError("WithPlaintext contradicts the scheme of the target")
	}
	if scheme == "http" || scheme == "" && isLoopback && !s.asksForTLS() {
		s.isPlaintext = true
	}
	if s.isPlaintext && s.asksForTLS() {
		return nil, usageError("the options of TLS exclude WithPlaintext and a target of http://")
	}
	if s.token != nil && s.isPlaintext && !isLoopback && !s.allowPlaintextToken {
		return nil, usageError("a token isn't sent in plaintext over a network: use TLS, or WithPlaintextToken")
	}
	if token, ok := s.token.(constantToken); ok {
		if _, err := checkedToken(string(token)); err != nil {
			return nil, usageError("%w", err)
		}
	}
	return s, nil
}

func (s *settings) setDefaults() error {
	durations := []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"Retry.BackoffFirst", &s.retry.BackoffFirst, 200 * time.Millisecond},
		{"Retry.BackoffMax", &s.retry.BackoffMax, 5 * time.Second},
		{"Retry.GiveUpAfter", &s.retry.GiveUpAfter, 5 * time.Minute},
		{"Limits.CallTimeout", &s.limits.CallTimeout, 30 * time.Second},
		{"Limits.WaitStep", &s.limits.WaitStep, 30 * time.Second},
		{"Limits.SilenceMin", &s.limits.SilenceMin, 15 * time.Second},
		{"Limits.SilenceUnknown", &s.limits.SilenceUnknown, time.Minute},
	}
	for _, it := range durations {
		if *it.value < 0 {
			return usageError("%s is negative", it.name)
		}
		if *it.value == 0 {
			*it.value = it.standard
		}
	}
	if s.retry.TriesMax < 0 || s.limits.ReceiveBytesMax < 0 || s.limits.SendBytesMax < 0 {
		return usageError("Retry.TriesMax and the limits of messages can't be negative")
	}
	if s.limits.ReceiveBytesMax == 0 {
		s.limits.ReceiveBytesMax = 16 << 20
	}
	if s.limits.SendBytesMax == 0 {
		s.limits.SendBytesMax = 12 << 20
	}
	return nil
}

func (s *settings) asksForTLS() bool {
	return s.tls != nil || s.caFile != "" || s.certFile != "" || s.keyFile != "" || s.serverName != ""
}

// dialOptions reads the files of certificates.
func (s *settings) dialOptions() ([]grpc.DialOption, error) {
	transport := insecure.NewCredentials()
	if !s.isPlaintext {
		config, err := s.tlsConfig()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(config)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("facematch-go/" + Version),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(s.limits.ReceiveBytesMax),
			grpc.MaxCallSendMsgSize(s.limits.SendBytesMax),
		),
		// This package retries by itself: only it knows the reasons, and how streams go on.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		// gRPC's own pauses between connections would grow to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay:  s.retry.BackoffFirst,
				Multiplier: 2,
				Jitter:     0.2,
				MaxDelay:   s.retry.BackoffMax,
			},
			MinConnectTimeout: 20 * time.Second,
		}),
	}
	if strings.HasPrefix(s.address, "dns:///") {
		balancing := `{"loadBalancingConfig": [{"round_robin": {}}]}`
		options = append(options, grpc.WithDefaultServiceConfig(balancing))
	}
	return append(options, s.dial...), nil
}

func (s *settings) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.tls != nil {
		config = s.tls.Clone()
	}
	if s.serverName != "" {
		config.ServerName = s.serverName
	}
	if s.caFile != "" {
		pem, err := os.ReadFile(s.caFile)
		if err != nil {
			return nil, usageError("the authorities can't be read: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usageError("%s has no certificate", s.caFile)
		}
	}
	if s.certFile != "" || s.keyFile != "" {
		certFile, keyFile := s.certFile, s.keyFile
		if _, err := loadCertificate(certFile, keyFile); err != nil {
			return nil, usageError("the client's certificate can't be read: %w", err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return loadCertificate(certFile, keyFile)
		}
	}
	return config, nil
}

func loadCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}
