"""AWS on loopback: moto behind a door that knows IAM, CloudFormation with SAM's transform, and Lambda as it treats a
function: `with account() as aws: ...`"""
