package facematch

import (
	"net"
	"strings"

	"google.golang.org/grpc/resolver"
)

// errTarget doesn't quote the target: a URL may have a password.
func errTarget() *Error {
	return usageError("the target isn't HOST:PORT, https://HOST:PORT or dns:///HOST:PORT")
}

// urlPorts are the ports of a target that is a URL and has none.
var urlPorts = map[string]string{"http": "80", "https": "443"}

// parseTarget returns the target in gRPC's form, and the scheme of a URL: http, which is plaintext,
// https, which is TLS, or none. A malformed address is refused: gRPC would look for it again and again.
func parseTarget(target string) (address, scheme string, err error) {
	scheme, address, _ = strings.Cut(target, "://")
	scheme = strings.ToLower(scheme)
	port, isURL := urlPorts[scheme]
	if !isURL {
		return target, "", checkAddress(target)
	}
	address = strings.TrimSuffix(address, "/")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		address += ":" + port
		host, _, err = net.SplitHostPort(address)
	}
	if err != nil || host == "" || strings.Contains(address, "@") {
		return "", "", errTarget()
	}
	return address, scheme, checkAddress(address)
}

// checkAddress refuses what gRPC's resolver of names can't read. Other resolvers have their own forms.
func checkAddress(target string) error {
	scheme, _, _ := strings.Cut(target, ":")
	if scheme != "dns" && (strings.Contains(target, "://") || resolver.Get(scheme) != nil) {
		return nil
	}
	endpoint := dnsEndpoint(target)
	if net.ParseIP(endpoint) != nil {
		return nil
	}
	_, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		_, port, err = net.SplitHostPort(endpoint + ":443")
	}
	if err != nil || endpoint == "" || port == "" || strings.Contains(endpoint, "/") {
		return errTarget()
	}
	return nil
}

// dnsEndpoint is the name or address in a target, and the port if there is one.
func dnsEndpoint(target string) string {
	endpoint, isDNS := strings.CutPrefix(target, "dns:")
	if rest, ok := strings.CutPrefix(endpoint, "//"); isDNS && ok {
		// The authority is the resolver's, and the endpoint follows it.
		_, endpoint, _ = strings.Cut(rest, "/")
	}
	return endpoint
}

// isLoopback reports whether a target of gRPC can only be on this machine.
func isLoopback(target string) bool {
	scheme, endpoint, hasScheme := strings.Cut(target, ":")
	switch {
	case hasScheme && (scheme == "unix" || scheme == "unix-abstract"):
		return true
	case hasScheme && (scheme == "dns" || scheme == "passthrough"):
		if rest, ok := strings.CutPrefix(endpoint, "//"); ok {
			// The authority is the resolver's, and the endpoint follows it.
			_, endpoint, _ = strings.Cut(rest, "/")
		}
	default:
		endpoint = target
	}
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = strings.Trim(endpoint, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
