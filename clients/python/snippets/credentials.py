client = facematch.Client(
    "facematch.example:443",
    token_file="/run/secrets/facematch",  # read for each call; or token="fm_…", token=function
    ca_file="/etc/facematch/ca.pem",  # absent: the authorities that gRPC brings
    cert_file="/etc/facematch/client.pem",
    key_file="/etc/facematch/client-key.pem",
)
