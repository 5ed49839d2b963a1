// Command conformance is the driver of the conformance suite for this library: it reads commands as
// lines of JSON, calls the library as a user would, and prints what it hands out.
// clients/conformance/README.md has the protocol.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/facematch/facematch/clients/go/facematch"
)

func main() {
	say("ready", parts{"protocol": 1, "library": facematch.Version, "features": []string{}})
	driver := &driver{clients: map[string]*facematch.Client{}, calls: map[string]*call{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		driver.do(lines.Bytes())
	}
	for _, client := range driver.clients {
		client.Close()
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A command is one line of standard input.
type command struct {
	Do      string   `json:"do"`
	Client  string   `json:"client"`
	Call    string   `json:"call"`
	Target  string   `json:"target"`
	Options *options `json:"options"`
	callOptions
}

type driver struct {
	clients map[string]*facematch.Client
	calls   map[string]*call
}

func (d *driver) do(line []byte) {
	var it command
	if err := decode(line, &it); err != nil {
		// Only what the line names may be answered.
		var names struct{ Client, Call string }
		_ = json.Unmarshal(line, &names)
		unsupported(names.Client, names.Call, err.Error())
		return
	}
	switch it.Do {
	case "open":
		d.open(it)
	case "call":
		d.start(it)
	case "go":
		d.calls[it.Call].goOn <- struct{}{}
	case "cancel":
		d.calls[it.Call].cancel()
	case "close":
		client := d.clients[it.Client]
		delete(d.clients, it.Client)
		version := client.ServerVersion()
		client.Close()
		say("closed", parts{"client": it.Client, "server_version": version})
	default:
		unsupported(it.Client, it.Call, "the command "+it.Do)
	}
}

func (d *driver) open(it command) {
	client, err := facematch.New(it.Target, it.Options.toLibrary(it.Client)...)
	if err != nil {
		sayError(parts{"client": it.Client}, err)
		return
	}
	d.clients[it.Client] = client
	text := fmt.Sprintf("%v %+v %#v %s", client, client, client, client)
	say("opened", parts{"client": it.Client, "text": text})
}

func (d *driver) start(it command) {
	ctx, cancel := context.WithCancel(context.Background())
	if it.DeadlineMS != nil {
		ctx, cancel = context.WithTimeout(ctx, ms(*it.DeadlineMS))
	}
	call := &call{
		name:    it.Call,
		client:  d.clients[it.Client],
		options: it.callOptions,
		ctx:     ctx,
		cancel:  cancel,
		goOn:    make(chan struct{}, 100),
	}
	d.calls[it.Call] = call
	go call.run()
}

// decode refuses keys that it doesn't know.
func decode(line []byte, into any) error {
	return newDecoder(line).Decode(into)
}

// parts are the keys of a line; empty values are left out.
type parts map[string]any

var printing sync.Mutex

func say(event string, all ...parts) {
	line := map[string]any{"event": event}
	for _, keys := range all {
		for key, value := range keys {
			if value != nil && value != "" {
				line[key] = value
			}
		}
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

func unsupported(client, call, what string) {
	say("unsupported", parts{"client": client, "call": call, "what": what})
}
