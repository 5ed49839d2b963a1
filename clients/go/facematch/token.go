package facematch

import (
	"context"
	"errors"
	"os"
	"strings"
)

// A tokenSource gives the bearer token of the next rpc.
type tokenSource interface {
	token(ctx context.Context) (string, error)
}

type constantToken string

func (t constantToken) token(context.Context) (string, error) {
	return checkedToken(string(t))
}

type tokenFile string

func (path tokenFile) token(context.Context) (string, error) {
	text, err := os.ReadFile(string(path))
	if err != nil {
		return "", err
	}
	return checkedToken(string(text))
}

type tokenFunc func(context.Context) (string, error)

func (f tokenFunc) token(ctx context.Context) (string, error) {
	token, err := f(ctx)
	if err != nil {
		return "", err
	}
	return checkedToken(token)
}

// checkedToken drops white space around the token. Its errors don't quote it.
func checkedToken(token string) (string, error) {
	token = strings.TrimSpace(token)
	if token == "" {
		return "", errors.New("the token is empty")
	}
	for _, letter := range []byte(token) {
		if letter <= ' ' || letter > '~' {
			return "", errors.New("a token is a word of printable ASCII characters")
		}
	}
	return token, nil
}
