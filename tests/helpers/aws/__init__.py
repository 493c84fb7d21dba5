"""AWS on loopback: moto behind a gateway that enforces IAM, CloudFormation with SAM's transform, and Lambda's way of
calling a function: `with account() as aws: ...`"""
