// Package e2e tests the balancer from outside: the program itself between real SIP programs, over real sockets. What
// each test means is read from the wire; every SIP message is recorded, and a failing call prints its ladder.
//
//	go test ./e2e/...               everything, several minutes
//	go test -short ./e2e/...        a selection of about a minute
//	CARILLON_E2E=require            a missing program is a failure, as it is with CI set
//	CARILLON_E2E_BALANCER=kamailio  Kamailio's dispatcher in the balancer's place
//	CARILLON_BIN=path               a program to test instead of one built from ../cmd/carillon
package e2e

import (
	"testing"

	"github.com/carillon-sip/carillon/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }
