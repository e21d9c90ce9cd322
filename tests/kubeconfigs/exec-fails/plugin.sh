#!/bin/sh
echo no session >&2
exit 3
