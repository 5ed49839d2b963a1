package facematch

// acceptance is whether the server may have accepted a match, as far as its client can know.
type acceptance struct {
	isAccepted, isSent bool
}

// sending notes that the request is sent: from here on the match may be accepted.
func (a *acceptance) sending() { a.isSent = true }

// failed notes how a try ended. A request that was refused was not accepted, at least not by this try.
func (a *acceptance) failed(f *failure) {
	if a.isSent && f.mayHaveActed() {
		a.isAccepted = true
	}
	a.isSent = false
}

func (a *acceptance) mayBe() bool { return a.isAccepted || a.isSent }
