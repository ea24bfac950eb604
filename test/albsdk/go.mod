module github.com/carillon-sip/carillon/test/albsdk

go 1.26.0

require github.com/vmware/alb-sdk v0.0.0-20250407104238-8f88209a8f1a

require github.com/golang/glog v1.2.5 // indirect
