"""What a BUILD file needs to make images. Everything else under //rules is private to it."""

load("//rules/private:layer.bzl", _layer = "layer")
load("//rules/private:platform_image.bzl", _platform_image = "platform_image")
load("//rules/private:providers.bzl", _LayerInfo = "LayerInfo", _ServiceInfo = "ServiceInfo")
load("//rules/private:service.bzl", _services = "services")
load("//rules/private:service_image.bzl", _service_image = "service_image")
load("//rules/private:tree.bzl", _tree = "tree")

LayerInfo = _LayerInfo
ServiceInfo = _ServiceInfo
layer = _layer
platform_image = _platform_image
service_image = _service_image
services = _services
tree = _tree
