// What the shared library shows: everything is hidden (-fvisibility=hidden) but what carries
// HINGE_API.
#pragma once

#define HINGE_API __attribute__((visibility("default")))
