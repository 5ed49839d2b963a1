package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"time"

	"github.com/facematch/facematch/clients/go/facematch"
)

// options of the command open, as clients/conformance/README.md lists them.
type options struct {
	TLS *struct {
		CAFile     string `json:"ca_file"`
		CertFile   string `json:"cert_file"`
		KeyFile    string `json:"key_file"`
		ServerName string `json:"server_name"`
	} `json:"tls"`
	Token               string            `json:"token"`
	TokenFile           string            `json:"token_file"`
	AllowPlaintextToken bool              `json:"allow_plaintext_token"`
	Headers             map[string]string `json:"headers"`
	BackoffFirstMS      int64             `json:"backoff_first_ms"`
	BackoffLongestMS    int64             `json:"backoff_longest_ms"`
	GiveUpAfterMS       int64             `json:"give_up_after_ms"`
	GiveUpTries         int               `json:"give_up_tries"`
	SilenceLeastMS      int64             `json:"silence_least_ms"`
	SilenceUnknownMS    int64             `json:"silence_unknown_ms"`
	CallTimeoutMS       int64             `json:"call_timeout_ms"`
	WaitStepMS          int64             `json:"wait_step_ms"`
	ReceiveBytesMax     int               `json:"receive_bytes_max"`
	SendBytesMax        int               `json:"send_bytes_max"`
}

func (o *options) toLibrary(client string) []facematch.Option {
	if o == nil {
		o = &options{}
	}
	given := []facematch.Option{
		facematch.WithRetry(facematch.Retry{
			BackoffFirst: ms(o.BackoffFirstMS),
			BackoffMax:   ms(o.BackoffLongestMS),
			GiveUpAfter:  ms(o.GiveUpAfterMS),
			TriesMax:     o.GiveUpTries,
		}),
		facematch.WithLimits(facematch.Limits{
			CallTimeout:     ms(o.CallTimeoutMS),
			WaitStep:        ms(o.WaitStepMS),
			SilenceMin:      ms(o.SilenceLeastMS),
			SilenceUnknown:  ms(o.SilenceUnknownMS),
			ReceiveBytesMax: o.ReceiveBytesMax,
			SendBytesMax:    o.SendBytesMax,
		}),
		facematch.OnReconnect(func(told facematch.Reconnect) { sayReconnect(client, told) }),
		facematch.WithHeaders(o.Headers),
	}
	if o.Token != "" {
		given = append(given, facematch.WithToken(o.Token))
	}
	if o.TokenFile != "" {
		given = append(given, facematch.WithTokenFile(o.TokenFile))
	}
	if o.AllowPlaintextToken {
		given = append(given, facematch.WithPlaintextToken())
	}
	if o.TLS == nil {
		return append(given, facematch.WithPlaintext())
	}
	given = append(given, facematch.WithTLS(&tls.Config{}), facematch.WithCAFile(o.TLS.CAFile), facematch.WithServerName(o.TLS.ServerName))
	return append(given, facematch.WithClientCertificate(o.TLS.CertFile, o.TLS.KeyFile))
}

func ms(milliseconds int64) time.Duration { return time.Duration(milliseconds) * time.Millisecond }

func newDecoder(line []byte) *json.Decoder {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	return decoder
}
