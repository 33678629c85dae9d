#include "floor_epoll.hpp"

#include "floor_main.hpp"

int main(int argc, char** argv) { return floor_main<floor_epoll>(argc, argv); }
